import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { Rig, until, verdict } from "./rig.ts";

function uids(rig: Rig): string[] {
  using reader = new JournalReader(rig.journal);
  return [...reader.rows()].map(({ record }) => String(record["log.record.uid"]));
}

function hasRows(rig: Rig, count: number): boolean {
  return statSync(rig.journal, { throwIfNoEntry: false }) !== undefined && uids(rig).length >= count;
}

test("every numbered record is in the journal once, whenever the reporter is killed", async () => {
  await using rig = new Rig();
  let made = 0;
  const feed = setInterval(() => {
    // On a busy machine a reporter may be killed before it has read anything: the queue must not overflow meanwhile.
    if (rig.warden.outbox.unacknowledged > 2_000) return;
    for (let i = 0; i < 20; i += 1) {
      made += 1;
      rig.warden.outbox.reliable(verdict(`u${made}`));
    }
  }, 5);
  for (let kills = 0; kills < 20; kills += 1) {
    rig.startReporter();
    await Bun.sleep(60 + Math.random() * 140);
    await rig.killReporter();
  }
  clearInterval(feed);
  rig.startReporter();
  await until("all records", () => hasRows(rig, made), 20_000);
  await Bun.sleep(200);
  expect(uids(rig)).toEqual(Array.from({ length: made }, (_, i) => `u${i + 1}`));
  expect(await rig.sample('treewarden_queue_dropped_total{queue="reliable"}')).toBe(0);
}, 60_000);

test("what the warden sent before a stop is stored, also if the reporter was not given the CPU until then", async () => {
  await using rig = new Rig();
  const { outbox } = rig.warden;
  rig.startReporter();
  outbox.reliable(verdict("u0"));
  await until("the first record", () => hasRows(rig, 1));
  rig.signalReporter("SIGSTOP");
  for (let i = 1; i <= 1_000; i += 1) outbox.reliable(verdict(`u${i}`));
  // Ten packets.
  rig.warden.turn();
  rig.warden[Symbol.dispose]();
  await Bun.sleep(150);
  const stopped = rig.stopReporter();
  rig.signalReporter("SIGCONT");
  expect(await stopped).toBe(0);
  expect(uids(rig)).toEqual(Array.from({ length: 1_001 }, (_, i) => `u${i}`));
}, 20_000);

test("a gap in the numbers is told, where it is", async () => {
  await using rig = new Rig();
  for (let i = 1; i <= 4_100; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
  rig.startReporter();
  await until("the first 4,096", () => hasRows(rig, 4_096));
  rig.warden.outbox.reliable(verdict("after"));
  await until("gap and record", () => hasRows(rig, 4_098));
  using reader = new JournalReader(rig.journal);
  const [gap, after] = [...reader.rows()].slice(4_096);
  expect(gap?.record).toMatchObject({ "event.name": "report.gap", "report.missing": 4 });
  expect(after?.record["log.record.uid"]).toBe("after");
}, 20_000);

test("counters never go back when warden, reporter or both are killed; gauges are the living warden's", async () => {
  await using rig = new Rig();
  const name = 'treewarden_events_total{event="exec"}';
  const tree = 'process_seconds_count{tree="/cron/base"}';
  const running = 'process{tree="/cron/base",state="RUNNING"}';
  let last = 0;
  let durations = 0;
  let alive = 0;
  rig.startReporter();
  for (let generation = 2; generation < 14; generation += 1) {
    rig.warden.totals.counter("events", { event: "exec" }).add(10);
    const process = rig.warden.trees.started("/cron/base", false);
    rig.warden.trees.ended(process, 1);
    rig.warden.trees.started("/cron/base", false);
    alive += 1;
    const now = await rig.sample(name);
    expect(now).toBe(last + 10);
    expect(await rig.sample(tree)).toBe(durations + 1);
    expect(await rig.sample(running)).toBe(alive);
    last = now;
    durations += 1;
    const killed = (["warden", "reporter", "both"] as const)[generation % 3];
    if (killed !== "warden") await rig.killReporter();
    if (killed !== "reporter") {
      rig.restartWarden(generation);
      // A new warden knows of no process; the one that goes on tells the new reporter of those that it has.
      alive = 0;
    }
    if (killed !== "warden") rig.startReporter();
    await until("as much as before", async () => (await rig.sample(name)) === last);
    await until("the living", async () => ((await rig.sample(running)) || 0) === alive);
  }
}, 60_000);

test("the reporter's own counters survive it, and no series is there twice", async () => {
  await using rig = new Rig({
    config: {
      otlp: {
        headers: {},
        protocol: "http/protobuf",
        compression: "none",
        interval_seconds: 1,
        timeout_seconds: 1,
        endpoint: "http://127.0.0.1:9",
      },
    },
  });
  const name = 'treewarden_export_failures_total{signal="metrics"}';
  rig.startReporter();
  await until("a failure", async () => (await rig.sample(name)) >= 1);
  const before = await rig.sample(name);
  await rig.killReporter();
  rig.startReporter();
  await until("ready", async () => !Number.isNaN(await rig.sample(name)));
  expect(await rig.sample(name)).toBeGreaterThanOrEqual(before);
  const lines = (await (await rig.get("/metrics")).text())
    .split("\n")
    .filter((line) => !line.startsWith("#"));
  const names = lines.map((line) => line.slice(0, line.lastIndexOf(" ")));
  expect(names.filter((each, i) => each !== "" && names.indexOf(each) !== i)).toEqual([]);
}, 20_000);

test("healthz is the warden's own word, and 503 within about a second if it says none", async () => {
  await using rig = new Rig();
  rig.startReporter();
  expect((await rig.get("/healthz")).status).toBe(200);
  rig.warden.health = { alive: false, reason: "the sensor failed", degraded: [] };
  const sick = await rig.get("/healthz");
  expect(sick.status).toBe(503);
  expect(await sick.json()).toMatchObject({ reason: "the sensor failed" });
  rig.warden[Symbol.dispose]();
  const start = performance.now();
  expect((await rig.get("/healthz")).status).toBe(503);
  expect(performance.now() - start).toBeLessThan(1_500);
});

test("a reporter whose link is shut down ends with an error, because another one gets a new link", async () => {
  await using rig = new Rig();
  rig.startReporter();
  await rig.get("/healthz");
  rig.shutDownLink();
  expect(await rig.ended()).not.toBe(0);
  expect(rig.stderr).toContain("the link to the warden was closed");
});

test("a port that another program has taken stops nothing: records are stored, and metrics are there when it is free", async () => {
  await using rig = new Rig();
  const squatter = Bun.listen({ hostname: "127.0.0.1", port: rig.port, socket: { data() {} } });
  rig.startReporter();
  rig.warden.outbox.reliable(verdict("u1"));
  await until("stored", () => rig.warden.outbox.unacknowledged === 0);
  expect(rig.stderr).toContain(
    `cannot listen on 127.0.0.1:${rig.port}: it is used by another program; treewarden tries again`,
  );
  squatter.stop(true);
  await until("listening", async () => (await rig.get("/healthz")).status === 200);
  await until("said", () => rig.stderr.includes("listening on 127.0.0.1"));
}, 20_000);

describe("the Host header", () => {
  const hosts = async (rig: Rig, names: readonly string[]) =>
    await Promise.all(names.map(async (host) => (await rig.get("/metrics", { headers: { host } })).status));

  test("may be an address or localhost, with any port", async () => {
    await using rig = new Rig();
    rig.startReporter();
    const names = ["127.0.0.1", "10.0.0.7:9501", "[::1]:9501", "localhost", "LOCALHOST:80"];
    expect(await hosts(rig, names)).toEqual([200, 200, 200, 200, 200]);
  });

  test("may be no other name: a page of that name could read the metrics through a browser", async () => {
    await using rig = new Rig();
    rig.startReporter();
    expect(await hosts(rig, ["rebound.example", "localhost.example:9501", "127.0.0.1.example"])).toEqual([
      421, 421, 421,
    ]);
  });

  test("is answered with 400 if it is none, and not with a failure", async () => {
    await using rig = new Rig();
    rig.startReporter();
    expect(await hosts(rig, ["[zz", "a b", "user@host", "[::1", "127.0.0.1:99999999"])).toEqual([
      400, 400, 400, 400, 400,
    ]);
  });

  test("may be missing, as in HTTP/1.0", async () => {
    await using rig = new Rig();
    rig.startReporter();
    await rig.get("/healthz");
    const answer = Promise.withResolvers<string>();
    let text = "";
    await Bun.connect({
      hostname: "127.0.0.1",
      port: rig.port,
      socket: {
        open: (socket) => void socket.write("GET /metrics HTTP/1.0\r\n\r\n"),
        data: (_, bytes) => {
          text += new TextDecoder().decode(bytes);
          if (text.includes("\r\n")) answer.resolve(text);
        },
      },
    });
    expect(await answer.promise).toStartWith("HTTP/1.1 200");
  });
});

test("only GET on known paths is answered, and a big header or body is refused", async () => {
  await using rig = new Rig();
  rig.startReporter();
  expect((await rig.get("/metrics", { method: "POST", body: "x" })).status).toBe(405);
  expect((await rig.get("/etc/passwd")).status).toBe(404);
});

test("a flood of requests is answered: some at once with 503, and those after it as ever", async () => {
  await using rig = new Rig();
  rig.startReporter();
  await rig.get("/healthz");
  const flood = await Promise.all(Array.from({ length: 300 }, () => rig.get("/healthz")));
  const statuses = new Set(flood.map((each) => each.status));
  expect([...statuses].sort()).toEqual([200, 503]);
  expect((await rig.get("/healthz")).status).toBe(200);
});

test("a journal that is not a database is put aside, and said", async () => {
  await using rig = new Rig();
  writeFileSync(rig.journal, "not a database, but long enough to be looked at ".repeat(100));
  rig.startReporter();
  rig.warden.outbox.reliable(verdict("u1"));
  await until("the record", () => {
    try {
      return hasRows(rig, 1);
    } catch {
      return false;
    }
  });
  expect(rig.stderr).toContain("journal");
});

test("secrets are in neither the journal nor on standard output", async () => {
  await using rig = new Rig({ output: "json" });
  rig.startReporter();
  const args = ["mysql", "--password", "hunter2secret", "-u", "root"];
  rig.warden.outbox.reliable(
    verdict("u1", { "process.command_args": args, "process.command_line": args.join(" ") }),
  );
  await until("the line", () => rig.stdout.includes("u1"));
  using reader = new JournalReader(rig.journal);
  const inJournal = JSON.stringify([...reader.rows()]);
  expect(inJournal).toContain("mysql");
  expect(inJournal + rig.stdout).not.toContain("hunter2secret");
});
