// What an unprivileged user can do to whoever watches: long lineages, many names, huge and hostile texts.
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, forestEqualsProc, memoryOf, pidOf, quietPolicy, settled, whole } from "./live.ts";
import { type JsonRecord, type Metrics, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

function asNobody(command: readonly string[]): Bun.Subprocess {
  return Bun.spawn([...nobody, ...command], { stdio: ["ignore", "ignore", "ignore"] });
}

/** On a busy host, which is never idle for a collection, a warden collects once it has grown by 16 MB (collection.ts). */
const SLACK_MB = 20;

const execs = (metrics: Metrics): number => metrics.sum("treewarden_events_total", { event: "exec" });

/** How many trees have series. */
const trees = (metrics: Metrics): number => metrics.all("process", { state: "STOPPED" }).length;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) Bun.spawnSync(["rm", "-rf", folder]);
});

/** A folder in which the user nobody may write, but not exchange what root wrote: policies lie there too. */
function stage(): string {
  const folder = newFolder();
  folders.push(folder);
  chmodSync(folder, 0o1777);
  return folder;
}

// The text format of Prometheus: a name, labels with escaped values, and a number.
const label = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`;
const sample = new RegExp(
  String.raw`^[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:${label}(?:,${label})*)?\})? (?:[-+]?[0-9.]+(?:e[-+]?[0-9]+)?|[-+]Inf|NaN)$`,
);

/** Lines of /metrics that no scraper would understand. */
function unparseable(metrics: Metrics): string[] {
  const lines = metrics.text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const series = lines.map((line) => line.slice(0, line.lastIndexOf(" ")));
  const twice = series.filter((one, at) => series.indexOf(one) !== at);
  return [...lines.filter((line) => !sample.test(line)), ...twice.map((one) => `twice: ${one}`)];
}

/** Prometheus's own opinion where it is installed: what it complains about. */
function promtool(metrics: Metrics): string {
  const path = Bun.which("promtool");
  if (path === null) return "";
  const check = Bun.spawnSync([path, "check", "metrics"], { stdin: Buffer.from(metrics.text) });
  // 3: it would have liked other names or help texts; the text was understood.
  return check.exitCode === 0 || check.exitCode === 3 ? "" : check.stderr.toString();
}

describe.skipIf(reason !== undefined)("memory and series stay bounded", () => {
  for (const source of ["netlink", "ebpf"]) {
    test(`when a user's process forks, exits and goes on for 3,000 generations, or runs two names in turn (${source})`, async () => {
      const folder = stage();
      const program = compile(folder, "generations");
      const names = [join(folder, "tw-one"), join(folder, "tw-two")];
      for (const name of names) linkSync(program, name);
      await using running = await Running.start(
        ["--source", source, "--policy", quietPolicy(folder)],
        {},
        folder,
      );
      const run = async (how: string, count: number): Promise<string> => {
        const pidFile = join(folder, `${how}-${count}`);
        asNobody([program, how, String(count), "4", pidFile, ...names]);
        await until(`${how}: the last generation is there`, () => existsSync(pidFile), 30_000);
        await settled(running, execs);
        const pid = readFileSync(pidFile, "latin1").trim();
        const ps = Bun.spawnSync([
          running.binary,
          "ps",
          "--output",
          "json",
          "--state-dir",
          `${folder}/state`,
        ]);
        return (
          ps.stdout
            .toString()
            .split("\n")
            .find((line) => line.includes(`"process.pid":${pid},`)) ?? ""
        );
      };
      for (const how of ["fork", "exec", "both"]) await run(how, 200);
      await forestEqualsProc(running);
      const memory = memoryOf(running);
      for (const how of ["fork", "exec", "both"]) {
        const line = await run(how, 3_000);
        // It may have ended by then; that it is told is not what this is about.
        if (line === "") continue;
        const last: JsonRecord = JSON.parse(line);
        expect(Buffer.byteLength(String(last["tree.path"]))).toBeLessThanOrEqual(1_024);
        expect(last["tree.depth"]).toBeLessThanOrEqual(32);
      }
      await forestEqualsProc(running);
      const metrics = await running.metrics();
      console.log(
        `${source}: ${trees(metrics)} trees, ${metrics.sum("treewarden_events_lost_total")} events lost`,
      );
      // Netlink cannot name a generation that has ended already: there are as many trees as places for an unknown one.
      expect(trees(metrics)).toBeLessThan(source === "ebpf" ? 200 : 1_500);
      await until("memory is back", () => memoryOf(running) < memory + SLACK_MB, 30_000);
      console.log(`${source}: ${memory.toFixed(1)} MB before, ${memoryOf(running).toFixed(1)} MB after`);
    }, 120_000);
  }

  test("when a user runs 5,000 programs of random names in random folders: one tree", async () => {
    const folder = stage();
    const each = compile(folder, "each");
    const program = compile(folder, "generations");
    const text = (length: number): string =>
      Array.from(
        crypto.getRandomValues(new Uint8Array(length)),
        (byte) => "abcdefghijklmnopqrstuvwxyz0123456789"[byte % 36],
      ).join("");
    const paths = Array.from({ length: 5_000 }, () => {
      const inside = join(folder, text(12));
      mkdirSync(inside);
      const path = join(inside, text(16));
      linkSync(program, path);
      return path;
    });
    writeFileSync(join(folder, "list"), `${paths.join("\n")}\n`);
    await using running = await Running.start(["--policy", quietPolicy(folder)], {}, folder);
    const before = await running.metrics();
    await asNobody([each, join(folder, "list")]).exited;
    const after = await settled(running, execs);
    console.log(`random names: ${trees(before)} trees before, ${trees(after)} after`);
    expect(execs(after) - execs(before)).toBeGreaterThanOrEqual(5_000);
    // A few random texts look like words.
    expect(trees(after) - trees(before)).toBeLessThan(300);
  }, 60_000);

  test("when names are many and look like names: beyond the limit trees fold into one, counted", async () => {
    const folder = stage();
    const each = compile(folder, "each");
    const program = compile(folder, "generations");
    const syllables = ["ma", "ser", "ver", "log", "node", "back", "data", "sync"];
    const paths: string[] = [];
    for (const a of syllables)
      for (const b of syllables)
        for (const c of syllables) {
          const path = join(folder, `${a}${b}${c}`);
          linkSync(program, path);
          paths.push(path);
        }
    writeFileSync(join(folder, "list"), `${paths.join("\n")}\n`);
    const config = join(folder, "config.yaml");
    writeFileSync(config, "metrics:\n  max_trees: 100\n");
    const flags = ["--config", config, "--policy", quietPolicy(folder)];
    await using running = await Running.start(flags, {}, folder);
    await asNobody([each, join(folder, "list")]).exited;
    const after = await settled(running, execs);
    expect(trees(after)).toBeLessThanOrEqual(101);
    expect(after.value("treewarden_trees_overflow_total")).toBeGreaterThan(300);
    expect(after.value("process", { tree: "/overflow", state: "STOPPED" })).toBeDefined();
    await forestEqualsProc(running);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("a storm of alerts", () => {
  test("that fills the queue does not crowd out a kill, and what did not fit is told as a gap and counted", async () => {
    const folder = stage();
    const rule = (id: string, name: string, action: string) => ({
      id,
      when: { "==": [{ var: "process.executable.name" }, name] },
      action,
    });
    // Each of another name: alerts of one kind would be folded.
    const noises = Array.from({ length: 8_000 }, (_, i) => join(folder, `tw-noise-${i}`));
    const noisy = { starts_with: [{ var: "process.executable.path" }, join(folder, "tw-noise-")] };
    const noise = { id: "noise", when: noisy, action: "alert" };
    const rules = [noise, rule("victim", "tw-victim-quiet", "kill")];
    writeFileSync(join(folder, "storm.json"), JSON.stringify({ role: "storm", rules, default: "allow" }));
    const program = compile(folder, "generations");
    for (const path of [join(folder, "tw-victim-quiet"), ...noises]) linkSync(program, path);
    const each = compile(folder, "each");
    writeFileSync(join(folder, "list"), noises.map((path) => `${path}\n`).join(""));
    await using running = await Running.start(["--policy", join(folder, "storm.json")], {}, folder);
    await until("all are there", () => whole(running) !== undefined);
    // A reporter that does not read is the slowest there is; the supervisor would replace it.
    const stopped = [pidOf(running, "supervisor"), pidOf(running, "reporter")];
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    try {
      await asNobody([each, join(folder, "list")]).exited;
      await asNobody([join(folder, "tw-victim-quiet")]).exited;
      await Bun.sleep(500);
    } finally {
      for (const pid of stopped.reverse()) process.kill(pid, "SIGCONT");
    }
    const verdict = await running.seen((one) => one["security_rule.name"] === "victim");
    expect(verdict["policy.outcome"]).toBe("would_kill");
    await running.seen((one) => one["event.name"] === "report.gap");
    const metrics = await running.metrics();
    const told = running.records.filter((one) => one["security_rule.name"] === "noise").length;
    const dropped = metrics.value("treewarden_queue_dropped_total", { queue: "reliable" }) ?? 0;
    // Others start programs, too.
    expect(told + dropped).toBeWithin(8_000, 8_050);
    const gaps = running.records.filter((one) => one["event.name"] === "report.gap");
    // What is dropped last shows as a gap with the next record that is kept.
    const missing = gaps.reduce((sum, gap) => sum + Number(gap["report.missing"]), 0);
    expect(missing).toBeWithin(dropped - 50, dropped + 1);
    expect(metrics.value("treewarden_verdicts_total", { rule: "noise", outcome: "alerted" })).toBe(8_000);
  }, 60_000);
});

/** Texts that break a parser, a terminal or a reader's trust, as bash writes them. */
const hostile: Readonly<Record<string, string>> = {
  newline: String.raw`a\nb`,
  quotes: String.raw`a"b\'c`,
  backslashes: String.raw`a\\n\\"b`,
  "an ANSI escape": String.raw`a\e[31mb\e[2J`,
  "an OSC escape": String.raw`a\e]0;owned\a`,
  "bytes that are not UTF-8": String.raw`a\xff\xfe\xc3b`,
  "a right-to-left override": String.raw`a\u202egpj.b`,
  "a C1 control": String.raw`a\u009b31mb`,
  "braces and a comma": `a{b="c",d}e`,
  "line separators": String.raw`a\u2028b\u2029c`,
};

/** Starts each hostile name with itself as an argument; they end after `seconds`. The shell waits for them. */
function startHostile(folder: string, seconds: number): Bun.Subprocess {
  const lines = Object.values(hostile).map(
    (text, at) =>
      `n=${join(folder, `tw-${at}-`)}$'${text}'; cp ${join(folder, "tw-sleep")} "$n" && "$n" ${seconds} $'${text}' &`,
  );
  // sleep(1) adds its arguments up; the hostile one would be an error, so the program is a shell that ignores it.
  return asNobody(["bash", "-c", `${lines.join("\n")}\nwait`]);
}

/** A stand-in for sleep(1) that takes any arguments. */
function sleeper(folder: string): void {
  const source = join(folder, "tw-sleep.c");
  writeFileSync(
    source,
    "#include <stdlib.h>\n#include <unistd.h>\nint main(int n, char **a) { return sleep(n > 1 ? atoi(a[1]) : 0); }\n",
  );
  const built = Bun.spawnSync(["gcc", "-static", "-o", join(folder, "tw-sleep"), source]);
  if (!built.success) throw new Error(built.stderr.toString());
}

// Colour, which needs an escape, is off where there is no terminal.
const raw = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]/u;

function decoded(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

describe.skipIf(reason !== undefined)("hostile texts", () => {
  for (const source of ["netlink", "ebpf"]) {
    test(`stay inside their JSON line and their label (${source})`, async () => {
      const folder = stage();
      sleeper(folder);
      await using running = await Running.start(["--source", source], {}, folder);
      const shell = startHostile(folder, 2);
      const count = Object.keys(hostile).length;
      const seen = (): JsonRecord[] =>
        running.records.filter(
          (one) =>
            one["event.name"] === "tree.new" && String(one["process.executable.path"]).includes("/tw-"),
        );
      // Running parses every line as JSON: a broken one would have failed by now.
      await until("all names are told", () => seen().length >= count);
      for (const record of seen()) {
        for (const value of Object.values(record).flat()) expect(String(value)).not.toMatch(raw);
        expect(Object.keys(record)).toContain("log.record.uid");
      }
      expect(seen().some((one) => String(one["tree.path"]).endsWith(String.raw`/tw-5-a\xff\xfe\xc3b`))).toBe(
        true,
      );
      const metrics = await running.metrics();
      expect(unparseable(metrics)).toEqual([]);
      expect(promtool(metrics)).toBe("");
      for (const line of metrics.text.split("\n")) expect(line).not.toMatch(raw);
      await shell.exited;
    }, 30_000);
  }

  test("do nothing to the terminal of who looks at ps, events, trace or the live view", async () => {
    const folder = stage();
    sleeper(folder);
    const state = ["--state-dir", join(folder, "state")];
    const binary = join(import.meta.dir, "../../dist/treewarden");
    const views = [
      Bun.spawn([binary, "run", "--output", "pretty", "--listen", "off", ...state], {
        stdio: ["ignore", "pipe", "ignore"],
      }),
      Bun.spawn([binary, "trace", "--output", "pretty"], { stdio: ["ignore", "pipe", "ignore"] }),
    ];
    try {
      await Bun.sleep(1_500);
      const shell = startHostile(folder, 2);
      await Bun.sleep(1_000);
      for (const words of [["ps"], ["ps", "--tree"], ["events"]]) {
        const answer = Bun.spawnSync([binary, ...words, ...state]);
        expect(decoded(answer.stdout)).toContain("tw-0-a");
        for (const line of decoded(answer.stdout).split("\n")) expect(line).not.toMatch(raw);
      }
      await shell.exited;
    } finally {
      for (const view of views) view.kill("SIGTERM");
    }
    for (const view of views) {
      const text = decoded(await new Response(view.stdout).bytes());
      expect(text).toContain("tw-0-a");
      for (const line of text.split("\n")) expect(line).not.toMatch(raw);
    }
  }, 30_000);

  test("a megabyte of arguments is one line, cut and marked", async () => {
    const folder = stage();
    sleeper(folder);
    const config = join(folder, "config.yaml");
    writeFileSync(config, "arguments:\n  report: full\n");
    await using running = await Running.start(["--config", config], {}, folder);
    const long = Array.from({ length: 8 }, () => "x".repeat(130_000));
    await asNobody([join(folder, "tw-sleep"), "1", ...long]).exited;
    const told = await running.seen(
      (one) =>
        one["event.name"] === "tree.new" && String(one["process.executable.path"]).endsWith("/tw-sleep"),
    );
    expect(JSON.stringify(told).length).toBeLessThan(16_384);
    expect(JSON.stringify(told["process.command_args"])).toContain("xxxxxxxxxx");
    expect((await running.health()).status).toBe(200);
  }, 30_000);
});
