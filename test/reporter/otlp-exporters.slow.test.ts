import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { Collector } from "./collector.ts";
import { decodeLogs } from "./otlp-decode.ts";
import { Rig, until, verdict } from "./rig.ts";

function rigFor(collector: Collector, more: Readonly<Record<string, string>> = {}): Rig {
  return new Rig(
    {},
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: "1000",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      ...more,
    },
  );
}

const count = (list: readonly string[]) => new Set(list).size;

test("a verdict arrives under OpenTelemetry's names, ours with our prefix", async () => {
  await using collector = new Collector();
  await using rig = rigFor(collector, { OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test%20bed" });
  rig.startReporter();
  rig.warden.outbox.reliable(
    verdict("u1", {
      timestamp: "2026-02-03T04:05:06.789012Z",
      "process.command_args": ["sh", "-c", "curl https://user:pw@host/"],
      "process.command_line": "sh -c curl",
      "process.login_user.id": null,
      "tree.randomness": 0,
      "tree.labels": ["nginx", "base"],
      "tree.user_ids": [0, 33],
      "tree.known": false,
    }),
  );
  await until("the log", () => collector.logs.length > 0);
  const [log] = collector.logs;
  expect(log?.eventName).toBe("treewarden.policy.verdict");
  expect(log?.severity).toBe(21);
  expect(log?.timeUnixNano).toBe(BigInt(Date.parse("2026-02-03T04:05:06Z")) * 1_000_000n + 789_012_000n);
  const event = new Date("2026-02-03T04:05:06Z").getTime();
  expect(Number((log?.observedTimeUnixNano ?? 0n) / 1_000_000n)).toBeGreaterThan(event);
  expect(log?.body).toBe("WOULD_KILL -/- 4711 - /nginx/base sh -c curl https://user:[redacted]@host/");
  const attributes = Object.entries(log?.attributes ?? {});
  const ofRecord = attributes.filter(([name]) => !name.startsWith("treewarden.journal."));
  expect(attributes.length - ofRecord.length).toBe(4);
  expect(Object.fromEntries(ofRecord)).toEqual({
    "log.record.uid": "u1",
    "treewarden.policy.action": "kill",
    "treewarden.policy.outcome": "would_kill",
    "treewarden.policy.severity": "critical",
    "treewarden.tree.path": "/nginx/base",
    "process.pid": 4711,
    "process.command_args": ["sh", "-c", "curl https://user:[redacted]@host/"],
    "treewarden.tree.randomness": { double: 0 },
    "treewarden.tree.labels": ["nginx", "base"],
    "treewarden.tree.user_ids": [0, 33],
    "treewarden.tree.known": false,
  });
  expect(log?.resource).toMatchObject({
    "service.name": "treewarden",
    "service.instance.id": expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-/),
    "os.version": expect.any(String),
    "os.type": "linux",
    "deployment.environment.name": "test bed",
  });
  expect(collector.headers[0]?.get("content-type")).toBe("application/x-protobuf");
});

test("metrics arrive as the scrape has them: cumulative, monotonic, with a tree's two states", async () => {
  await using collector = new Collector();
  await using rig = rigFor(collector);
  rig.warden.totals.counter("events", { event: "exec" }).add(7);
  const handle = rig.warden.trees.started("/cron/x\\x0ay", false);
  rig.warden.trees.ended(handle, 2);
  rig.startReporter();
  const find = (metric: string, attributes: object) =>
    collector.points.findLast(
      (point) => point.metric === metric && Bun.deepEquals(point.attributes, attributes),
    );
  await until(
    "the counter",
    () => find("treewarden.events", { "treewarden.event.kind": "exec" })?.value === 7,
  );
  expect(find("treewarden.events", { "treewarden.event.kind": "exec" })).toMatchObject({
    kind: "sum",
    temporality: 2,
    monotonic: true,
    unit: "{event}",
  });
  const path = { "treewarden.tree.path": "/cron/x\\x0ay" };
  expect(find("treewarden.tree.processes", { ...path, "treewarden.tree.state": "RUNNING" })?.value).toBe(0);
  expect(find("treewarden.tree.processes", { ...path, "treewarden.tree.state": "STOPPED" })?.value).toBe(1);
  const duration = find("treewarden.tree.duration", path);
  expect(duration).toMatchObject({
    kind: "histogram",
    temporality: 2,
    unit: "s",
    value: 1,
    sum: 2,
    bounds: 8,
  });
  expect(duration?.counts).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0]);
});

describe("nothing numbered is lost, and nothing comes twice for no reason, when the collector", () => {
  test("is down, the reporter is killed meanwhile, and the collector comes back", async () => {
    await using collector = new Collector();
    const { port } = collector;
    await using rig = rigFor(collector);
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("before"));
    await until("the first", () => collector.logs.length === 1);
    await collector.down();
    for (let i = 0; i < 1_200; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
    await until(
      "a failure",
      async () => (await rig.sample('treewarden_export_failures_total{signal="logs"}')) > 0,
    );
    expect(rig.stderr).toContain("cannot export");
    await rig.killReporter();
    rig.startReporter();
    await Bun.sleep(500);
    collector.up(port);
    await until("all", () => count(collector.uids) === 1_201, 20_000);
    expect(collector.uids.slice(1)).toEqual(Array.from({ length: 1_200 }, (_, i) => `u${i}`));
    expect(rig.stderr).toContain("can export logs over OTLP again");
  }, 40_000);

  test("answers 503 with Retry-After for a while", async () => {
    await using collector = new Collector();
    collector.behave = () => new Response("later", { status: 503, headers: { "retry-after": "1" } });
    await using rig = rigFor(collector);
    rig.startReporter();
    for (let i = 0; i < 50; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
    await until("a refusal", () => collector.requests > 1);
    await Bun.sleep(500);
    collector.behave = undefined;
    await until("all", () => count(collector.uids) === 50, 20_000);
    expect(collector.uids.length).toBe(50);
  }, 30_000);

  test.concurrent("never answers at first", async () => {
    await using collector = new Collector();
    collector.behave = () => new Promise(() => undefined);
    await using rig = rigFor(collector);
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("u1"));
    await until(
      "a failure",
      async () => (await rig.sample('treewarden_export_failures_total{signal="logs"}')) > 0,
    );
    collector.behave = undefined;
    await until("the record", () => collector.uids.includes("u1"), 20_000);
  }, 30_000);

  test.concurrent("refuses everyone for a while (401, 404, 500)", async () => {
    await using collector = new Collector();
    const statuses = [401, 404, 500];
    collector.behave = (path) => {
      const status = path === "/v1/logs" ? statuses.shift() : undefined;
      return new Response(null, { status: status ?? 200 });
    };
    await using rig = rigFor(collector);
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("u1"));
    await until("the record", () => collector.uids.includes("u1"), 20_000);
  }, 30_000);

  test.concurrent("is no collector for a while: something else answers 200 with a login page", async () => {
    await using collector = new Collector();
    collector.behave = () =>
      new Response("<html>log in</html>", { headers: { "content-type": "text/html" } });
    await using rig = rigFor(collector);
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("u1"));
    await until("a failure", () => rig.stderr.includes("no answer of OTLP (text/html)"));
    const pages = collector.logs.length;
    collector.behave = undefined;
    await until("the record", () => collector.logs.length > pages);
    expect(count(collector.uids)).toBe(1);
  }, 20_000);

  test.concurrent("sends everything elsewhere (307), which is not followed, for a while", async () => {
    await using collector = new Collector();
    const { port } = collector;
    collector.behave = () => Response.redirect(`http://127.0.0.1:${port}/elsewhere`, 307);
    await using rig = rigFor(collector);
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("u1"));
    await until("a failure", () => rig.stderr.includes("are not followed"));
    collector.behave = undefined;
    await until("the record", () => collector.uids.length > 0);
    expect(rig.stderr).toContain(
      `HTTP 307: redirects to http://127.0.0.1:${port}/elsewhere are not followed`,
    );
  }, 20_000);

  test("refuses everything as wrong (400) for a while, as a port does that expects TLS", async () => {
    await using collector = new Collector();
    collector.behave = () =>
      new Response("Client sent an HTTP request to an HTTPS server.\n", { status: 400 });
    await using rig = rigFor(collector);
    for (let i = 0; i < 100; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
    rig.startReporter();
    await until("failures", () => collector.requests > 10);
    collector.behave = undefined;
    await until("all", () => count(collector.uids) === 100, 20_000);
    expect(collector.uids).toEqual(Array.from({ length: 100 }, (_, i) => `u${i}`));
    expect(rig.stderr).toContain("Client sent an HTTP request to an HTTPS server.");
    expect(await rig.sample('treewarden_queue_dropped_total{queue="export"}')).toBe(0);
  }, 30_000);

  test("takes only small batches (413)", async () => {
    await using collector = new Collector();
    collector.behave = (path, body) =>
      new Response(null, { status: path === "/v1/logs" && decodeLogs(body).length > 10 ? 413 : 200 });
    await using rig = rigFor(collector);
    for (let i = 0; i < 100; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
    rig.startReporter();
    await until("all", () => count(collector.uids) === 100, 30_000);
  }, 40_000);
});

test("a record that the collector calls wrong (400) is given up alone, counted and reported", async () => {
  await using collector = new Collector();
  const isBad = (body: Uint8Array) =>
    decodeLogs(body).some((log) => log.attributes["log.record.uid"] === "bad");
  collector.behave = (path, body) =>
    new Response(null, { status: path === "/v1/logs" && isBad(body) ? 400 : 200 });
  await using rig = rigFor(collector);
  const names = ["a", "b", "c", "bad", "d", "e"];
  for (const name of names) rig.warden.outbox.reliable(verdict(name));
  rig.startReporter();
  await until("the last", () => collector.uids.includes("e"), 20_000);
  expect(names.filter((name) => collector.uids.includes(name))).toEqual(["a", "b", "c", "d", "e"]);
  expect(await rig.sample('treewarden_queue_dropped_total{queue="export"}')).toBe(1);
  const gap = collector.logs.find(({ eventName }) => eventName === "treewarden.report.gap");
  expect(gap?.attributes).toMatchObject({
    "treewarden.report.missing": 1,
    "treewarden.report.reason": "rejected",
    "treewarden.report.queue": "export",
    "treewarden.report.uid": "bad",
  });
}, 30_000);

test("records that a collector rejects while it takes the others are counted, reported, and not sent again", async () => {
  await using collector = new Collector();
  let answered = 0;
  collector.behave = (path) => {
    if (path !== "/v1/logs" || answered > 0) return new Response(null);
    answered += 1;
    return Response.json({ partialSuccess: { rejectedLogRecords: "2", errorMessage: "too old" } });
  };
  await using rig = rigFor(collector);
  for (let i = 0; i < 5; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
  rig.startReporter();
  await until("the report", () => collector.logs.length > 5);
  expect(collector.uids.slice(0, 5)).toEqual(["u0", "u1", "u2", "u3", "u4"]);
  expect(collector.logs[5]?.attributes).toMatchObject({ "treewarden.report.missing": 2 });
  expect(await rig.sample('treewarden_queue_dropped_total{queue="export"}')).toBe(2);
  expect(rig.stderr).toContain("2 of the records were rejected: too old");
});

test("what is written after a broken journal was replaced reaches the collector too", async () => {
  await using collector = new Collector();
  await using rig = rigFor(collector);
  rig.startReporter();
  for (let i = 1; i <= 20; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
  await until("the first 20", () => count(collector.uids) === 20);
  breakDatabase(rig.journal);
  for (let i = 21; i <= 25; i += 1) rig.warden.outbox.reliable(verdict(`u${i}`));
  await until("the other 5", () => count(collector.uids) === 25);
  await until("the journal was replaced", () => rig.stderr.includes("the journal was broken"));
  expect(collector.uids).toEqual(Array.from({ length: 25 }, (_, i) => `u${i + 1}`));
}, 30_000);

/** Makes every page of the file nonsense, for its writer too: what that had in its log is in the file before. */
function breakDatabase(path: string): void {
  {
    using database = new Database(path);
    database.run("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  writeFileSync(path, Buffer.alloc(statSync(path).size, "nonsense"), { flag: "r+" });
}

test("the file's endpoint and headers are used where no variable is set, and a variable wins", async () => {
  await using fromFile = new Collector();
  await using fromVariable = new Collector();
  const otlp = {
    endpoint: `http://127.0.0.1:${fromFile.port}/base/`,
    headers: { "x-key": "file" },
    protocol: "http/protobuf",
    compression: "gzip",
    interval_seconds: 1,
    timeout_seconds: 1,
  } as const;
  {
    await using rig = new Rig({ config: { otlp } });
    rig.startReporter();
    rig.warden.outbox.reliable(verdict("u1"));
    await until("by the file", () => fromFile.logs.length > 0);
    expect(fromFile.headers[0]?.get("x-key")).toBe("file");
    expect(fromFile.headers[0]?.get("content-encoding")).toBe("gzip");
  }
  await using rig = new Rig(
    { config: { otlp } },
    {
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `http://127.0.0.1:${fromVariable.port}/v1/logs`,
      OTEL_EXPORTER_OTLP_HEADERS: "x-key=variable",
    },
  );
  rig.startReporter();
  rig.warden.outbox.reliable(verdict("u2"));
  await until("by the variable", () => fromVariable.logs.length > 0);
  expect(fromVariable.headers[0]?.get("x-key")).toBe("variable");
  expect(fromFile.uids).not.toContain("u2");
}, 20_000);

test("without an endpoint nothing is sent, and OTEL_SDK_DISABLED stops it all", async () => {
  await using collector = new Collector();
  await using rig = rigFor(collector, { OTEL_SDK_DISABLED: "true" });
  rig.startReporter();
  rig.warden.outbox.reliable(verdict("u1"));
  await rig.get("/healthz");
  await Bun.sleep(800);
  expect(collector.requests).toBe(0);
});
