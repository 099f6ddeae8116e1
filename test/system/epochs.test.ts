// A change is in force when its command has answered: no exec that begins after that is judged by what was before, neither in
// the kernel nor in user space. Each change turns around what must become of the same programs, under 500 execs a second.
// EPOCH_CHANGES=1000 is the long form (npm run check:epochs).
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { monotonicNow } from "../../src/linux/clock.ts";
import { compileProgram, untilSettled } from "./prevention-service.ts";
import { baseline } from "./server-watch.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Each of the four once, and what takes it back. */
const CHANGES = Number(process.env.EPOCH_CHANGES ?? 8);
const RATE = 500;
/** A change takes some 200 ms on a quiet machine. */
setDefaultTimeout(60_000 + CHANGES * 2_000);

/** A user that no other process runs as. */
const TEST_USER = 61_021;
const installed = "/usr/local/lib/tw-epochs";
const service = join(installed, "tw-epochd");
/** The kernel ends it before its first instruction. */
const probe = join(installed, "tw-probe");
/** Named as a shell, which the kernel leaves to user space. */
const carrier = join(installed, "sh");

/** How long a phase lasts after the acknowledgement, and how long before its end probes are no longer judged by it; ms. */
const PHASE_MS = 90;
const SETTLED_MS = 60;

const condition = {
  and: [
    { "==": [{ var: "process.user.id" }, TEST_USER] },
    { under: ["tw-epochd"] },
    { "==": [{ var: ["tree.known", true] }, false] },
  ],
};
const strict = {
  role: "shop",
  rules: [{ id: "unknown", when: condition, action: "kill", severity: "high" }],
  default: "allow",
};
const lenient = {
  ...strict,
  rules: [{ id: "lenient", when: condition, action: "allow" }, ...strict.rules],
};

/** From an acknowledgement to the next command; ns, CLOCK_MONOTONIC. */
interface Phase {
  readonly change: string;
  readonly isStrict: boolean;
  readonly begin: number;
  readonly end: number;
}

interface Probe {
  readonly kind: string;
  readonly started: number;
  /** Its first instruction; 0: there was none. */
  readonly ran: number;
  readonly ended: number;
  readonly signal: number;
}

describe.skipIf(reason !== undefined)("an acknowledged change", () => {
  let folder: string;
  let running: Running;
  const policyFile = () => join(folder, "shop.json");
  const configuration = () => join(folder, "config.yaml");
  const output = () => join(folder, "output");

  beforeAll(async () => {
    mkdirSync(installed, { mode: 0o755 });
    compileProgram("epoch-service", service);
    compileProgram("epoch-probe", probe, "-static");
    copyFileSync(probe, carrier);
    folder = newFolder();
    writeFileSync(output(), "");
    chmodSync(output(), 0o666);
    writePolicy(strict);
    const settings = [
      "enforcement: prevent",
      "armed: [shop/unknown]",
      "armed_since_hours: 0",
      "kill: { max_per_minute: 10000 }",
      `policies: [${policyFile()}]`,
    ];
    writeFileSync(configuration(), `${settings.join("\n")}\n`, { mode: 0o644 });
    running = await Running.start(["--config", configuration()], {}, folder);
    // What the service always starts is learned; what alternates is not.
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.learning");
    const learned = start("/bin/true", "/bin/true");
    await Bun.sleep(1_000);
    await stop(learned);
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.stopped");
    // What was changed less than 2 s before files are identified is left to user space.
    await untilSettled(carrier);
    expect(baseline(running, "accept", "--anyway").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.loaded");
  });

  afterAll(async () => {
    await running?.[Symbol.asyncDispose]();
    rmSync(installed, { recursive: true, force: true });
  });

  function writePolicy(policy: object): void {
    writeFileSync(`${policyFile()}.new`, JSON.stringify(policy), { mode: 0o644 });
    renameSync(`${policyFile()}.new`, policyFile());
  }

  function start(first: string, second: string): Bun.Subprocess<"pipe", "pipe", "inherit"> {
    const asUser = ["setpriv", `--reuid=${TEST_USER}`, `--regid=${TEST_USER}`, "--clear-groups"];
    const command = [...asUser, service, output(), String(RATE), first, second, "/bin/true"];
    return Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
  }

  async function stop(started: Bun.Subprocess<"pipe", "pipe", "inherit">): Promise<readonly Probe[]> {
    started.stdin.end();
    const text = await new Response(started.stdout).text();
    const stamps = new DataView(new Uint8Array(readFileSync(output())).buffer);
    return text
      .trim()
      .split("\n")
      .map((line) => {
        const [kind = "", ...fields] = line.split(" ");
        const [number = 0, began = 0, ended = 0, signal = 0] = fields.map(Number);
        const ran = 8 * number < stamps.byteLength ? Number(stamps.getBigUint64(8 * number, true)) : 0;
        return { kind, started: began, ran, ended, signal };
      });
  }

  async function order(...args: readonly string[]): Promise<void> {
    const host = ["--config", configuration(), "--state-dir", join(folder, "state")];
    const run = Bun.spawn([binary, ...args, ...host], { stdout: "ignore", stderr: "pipe" });
    const errors = await new Response(run.stderr).text();
    if ((await run.exited) !== 0) throw new Error(`treewarden ${args.join(" ")}: ${errors}`);
  }

  const reload = async (policy: object): Promise<void> => {
    writePolicy(policy);
    await order("reload");
  };
  const why = ["--reason", "a test"];
  /** Each, and what takes it back. */
  const changes: readonly (readonly [
    name: string,
    weaken: () => Promise<void>,
    restore: () => Promise<void>,
  ])[] = [
    ["pause", () => order("pause", "--for", "5m", ...why), () => order("resume")],
    [
      "disarm",
      () => order("disarm", "shop/unknown", ...why),
      () => order("arm", "shop/unknown", "--anyway", ...why),
    ],
    ["reload", () => reload(lenient), () => reload(strict)],
    [
      "exclude",
      () => order("baseline", "exclude", "add", "/**/tw-epochd/**", ...why),
      () => order("baseline", "exclude", "remove", "/**/tw-epochd/**"),
    ],
  ];

  test(`holds for every exec that begins after its answer (${CHANGES} changes, ${RATE} execs a second)`, async () => {
    const load = start(probe, carrier);
    const phases: Phase[] = [];
    await until("the service is closed", async () => {
      const metrics = await running.metrics();
      return metrics.sum("treewarden_verdicts_total", { outcome: "prevented" }) > 0;
    });
    for (let i = 0; i < CHANGES; i += 1) {
      const [name, weaken, restore] = changes[Math.floor(i / 2) % changes.length] ?? [];
      const isStrict = i % 2 === 1;
      await (isStrict ? restore : weaken)?.();
      const begin = monotonicNow();
      await Bun.sleep(PHASE_MS);
      phases.push({
        change: `${i}: ${isStrict ? "after " : ""}${name}`,
        isStrict,
        begin,
        end: monotonicNow(),
      });
    }
    const probes = await stop(load);
    const judged = phases.map((phase) => judge(phase, probes));
    const wrong = judged.flatMap((each) => each.wrong);
    const count = (kind: string) => judged.reduce((sum, { checked }) => sum + (checked[kind] ?? 0), 0);
    console.log(
      `${CHANGES} changes, ${probes.length} probes: ${count("P")} of the kernel's, ${count("C")} of user space's began after ` +
        `an answer and before the next command; ${wrong.length} were judged by what was before`,
    );
    expect(wrong).toEqual([]);
    // About one in 10 ms of each phase.
    expect(Math.min(count("P"), count("C"))).toBeGreaterThan(CHANGES);
    const metrics = await running.metrics();
    expect(metrics.sum("treewarden_prevent_mismatches_total")).toBe(0);
    expect(metrics.sum("treewarden_events_lost_total")).toBe(0);
  });
});

/** The probes that were started after an acknowledgement, long enough before the next command, and what is wrong of them. */
function judge(phase: Phase, probes: readonly Probe[]) {
  const end = phase.end - SETTLED_MS * 1e6;
  const checked: Record<string, number> = {};
  const wrong: string[] = [];
  for (const each of probes) {
    // What was started before the end may have been executed after it.
    if (each.started < phase.begin || each.started >= end || each.ran > end) continue;
    checked[each.kind] = (checked[each.kind] ?? 0) + 1;
    const problem = phase.isStrict ? strictProblem(each) : lenientProblem(each, phase);
    if (problem !== undefined)
      wrong.push(`${phase.change}: ${each.kind} ${(each.started - phase.begin) / 1e6} ms later ${problem}`);
  }
  return { checked, wrong };
}

function strictProblem({ kind, signal, ran }: Probe): string | undefined {
  if (signal !== 9) return "lives";
  return kind === "P" && ran !== 0 ? "has run" : undefined;
}

/** What dies once the next command has begun may have been judged by that. */
function lenientProblem({ signal, ended }: Probe, { end }: Phase): string | undefined {
  return signal !== 0 && ended < end ? "has died" : undefined;
}
