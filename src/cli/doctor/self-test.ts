// `treewarden doctor --self-test`: runs a treewarden of its own with each event source, starts harmless programs, and
// checks that they are reported, that their trees are named, and that verdicts are given and carried out.
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Config } from "../../config/config.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import { isLiveSource, type LiveSource, openableSources } from "../../vocabulary/sensors.ts";
import { selfTestProgram } from "./self-test-program.ts";
import { endsWithin, type ReadRecord, SelfTestWarden, type TestedWarden } from "./self-test-warden.ts";

/** One result of the test with one event source. */
export interface SelfTestResult {
  readonly source: LiveSource;
  readonly check: "start" | "events" | "tree" | "verdict" | "kill" | "loss" | "end";
  readonly passed: boolean;
  readonly detail: string;
}

/** Programs that are started one after the other, and must all be reported. */
const PROGRAMS = 20;
/** How long each of them lives: a program that ends at once may escape the process connector (docs/sensors.md). */
const PROGRAM_MS = 50;
/** How long the programs live of which one is killed. They end by themselves if nobody ends them. */
const LONG_MS = 20_000;
/** The first start on a busy or emulated host. */
const START_MS = 60_000;
/** Until a record of an event has arrived. */
const RECORD_MS = 10_000;

/**
 * Tests the event sources that `run` may use under `config`, and calls `report` with each result. Needs root. Leaves no
 * file and no process behind, also if SIGINT, SIGTERM or SIGHUP interrupts it. Throws if the programs cannot be written.
 */
export async function runSelfTest(config: Config, report: (result: SelfTestResult) => void): Promise<void> {
  const sources = openableSources.filter(isLiveSource);
  const interruption = new AbortController();
  // Until this process ends: a second signal must not end it before it has cleaned up.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => interruption.abort());
  const tested = config.source === "auto" ? sources : sources.filter((source) => source === config.source);
  for (const source of tested) {
    if (interruption.signal.aborted) break;
    const folder = join(nearestFolder(config.state_directory), `self-test-${process.pid}`);
    try {
      await testSource({ source, folder, host: config, interrupted: interruption.signal }, report);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** The state directory, or the folder above it that exists: files there can be executed, which in /tmp or /run they may not. */
function nearestFolder(path: string): string {
  return existsSync(path) && statSync(path).isDirectory() ? path : nearestFolder(dirname(path));
}

async function testSource(
  place: Omit<TestedWarden, "policy" | "armed">,
  report: (result: SelfTestResult) => void,
): Promise<void> {
  const { source, folder } = place;
  const started = performance.now();
  const programs = join(folder, "programs");
  await using warden = new SelfTestWarden({
    ...place,
    policy: policyFor(programs),
    armed: ["self-test/kill"],
  });
  const check = (check: SelfTestResult["check"], passed: boolean, detail: string): void =>
    report({ source, check, passed, detail });
  const ready = await warden.wait(isNamed("warden.started"), START_MS);
  if (ready === undefined) {
    check("start", false, warden.messages === "" ? "it did not start in time" : warden.messages);
    return;
  }
  check("start", true, `ready after ${Math.round(performance.now() - started)} ms`);
  writePrograms(programs);
  const test: ProgramTest = { warden, programs };
  for (const [name, run] of [
    ["events", testEvents],
    ["tree", testTree],
    ["verdict", testVerdict],
    ["kill", testKill],
  ] as const) {
    if (place.interrupted.aborted) return check("end", false, "interrupted");
    const { passed, detail } = await run(test).catch((error: unknown) => failed(messageOf(error)));
    check(name, passed, detail);
  }
  if (place.interrupted.aborted) return check("end", false, "interrupted");
  const lost = warden.records.filter(isNamed("sensor.loss")).length;
  check("loss", lost === 0, lost === 0 ? "no event was lost" : `events were lost ${lost} times`);
  const code = await warden.stop();
  check("end", code === 0, code === undefined ? "it did not end in time" : `ended with exit code ${code}`);
}

/** Rules that can match nothing but the programs of this test, which are root's and lie where only root can put any. */
function policyFor(programs: string): object {
  const rule = (action: "alert" | "kill", name: string) => ({
    id: action,
    action,
    when: {
      and: [
        { "==": [{ var: "process.user.id" }, 0] },
        { glob: [{ var: "process.executable.path" }, `/**${endOfPath(programs, name)}`] },
      ],
    },
  });
  return { role: "self-test", rules: [rule("kill", "killed"), rule("alert", "inner")], default: "allow" };
}

/** The end of the program's path, which no other has. In a chroot the kernel's path begins with the folders around it. */
function endOfPath(programs: string, name: string): string {
  return `/${basename(dirname(programs))}/${basename(programs)}/${name}`;
}

function writePrograms(folder: string): void {
  mkdirSync(folder, { mode: 0o700 });
  const write = (name: string, milliseconds: number): void => {
    const program = selfTestProgram(milliseconds);
    if (program === undefined) throw new Error(`no program for ${process.arch}`);
    const path = join(folder, name);
    writeFileSync(path, program);
    chmodSync(path, 0o700);
  };
  for (const name of ["short", "outer", "inner"]) write(name, PROGRAM_MS);
  for (const name of ["killed", "spared"]) write(name, LONG_MS);
}

interface ProgramTest {
  readonly warden: SelfTestWarden;
  /** Folder of the programs. */
  readonly programs: string;
}

type Outcome = Pick<SelfTestResult, "passed" | "detail">;
const failed = (detail: string): Outcome => ({ passed: false, detail });
const isNamed =
  (name: string) =>
  (record: ReadRecord): boolean =>
    record["event.name"] === name;

function start(path: string, ...args: readonly string[]): Bun.Subprocess {
  return Bun.spawn([path, ...args], { stdio: ["ignore", "ignore", "ignore"], cwd: "/", env: {} });
}

/**
 * Waits until a program that rules do not match is reported: the warden begins with that when the reporter has asked for it,
 * a moment after both have started.
 */
async function isEveryProgramWanted(warden: SelfTestWarden, programs: string): Promise<boolean> {
  const end = performance.now() + RECORD_MS;
  while (performance.now() < end) {
    await start(join(programs, "short")).exited;
    if ((await warden.wait(isExecOf(programs, "short"), PROGRAM_MS)) !== undefined) return true;
  }
  return false;
}

/** Each program that was started is reported with its path. */
async function testEvents({ warden, programs }: ProgramTest): Promise<Outcome> {
  if (!(await isEveryProgramWanted(warden, programs))) return failed("no program was reported");
  const pids: number[] = [];
  for (let i = 0; i < PROGRAMS; i++) {
    const program = start(join(programs, "short"));
    await program.exited;
    if (program.signalCode !== null) return failed("a program was killed, by something else on this host");
    pids.push(program.pid);
  }
  let seen = 0;
  // Only the first record that is missing is waited for: those of later programs have arrived by then.
  let patience = RECORD_MS;
  for (const pid of pids) {
    const record = await warden.wait(
      (each) => isExecOf(programs, "short")(each) && each["process.pid"] === pid,
      patience,
    );
    if (record === undefined) patience = 0;
    else seen += 1;
  }
  return { passed: seen === PROGRAMS, detail: `${seen} of ${PROGRAMS} programs were reported` };
}

/** A program that a program starts has both in its tree, and its arguments are known. */
async function testTree({ warden, programs }: ProgramTest): Promise<Outcome> {
  const [outer, inner] = [join(programs, "outer"), join(programs, "inner")];
  const program = start(outer, inner);
  await program.exited;
  const parent = await warden.wait(isExecOf(programs, "outer"), RECORD_MS);
  const child = await warden.wait(isExecOf(programs, "inner"), RECORD_MS);
  if (parent === undefined || child === undefined) return failed("a program was not reported");
  const tree = String(child["tree.exact"]);
  const args = JSON.stringify(parent["process.command_args"]);
  const passed = tree.endsWith("/outer/inner") && args === JSON.stringify([outer, inner]);
  return { passed, detail: passed ? tree : `tree ${tree}, arguments ${args}` };
}

/** The program of the test before, which a rule alerts on, has a verdict. */
async function testVerdict({ warden }: ProgramTest): Promise<Outcome> {
  const verdict = await warden.wait(isVerdict("alert"), RECORD_MS);
  if (verdict === undefined) return failed("the rule that alerts gave no verdict");
  const outcome = String(verdict["policy.outcome"]);
  return { passed: outcome === "alerted", detail: outcome };
}

const isExecOf =
  (programs: string, name: string) =>
  (record: ReadRecord): boolean =>
    isNamed("process.exec")(record) &&
    String(record["process.executable.path"]).endsWith(endOfPath(programs, name));

const isVerdict =
  (rule: string) =>
  (record: ReadRecord): boolean =>
    isNamed("policy.verdict")(record) && record["security_rule.name"] === rule;

/** The program that a rule kills is killed, and the one beside it runs on. */
async function testKill({ warden, programs }: ProgramTest): Promise<Outcome> {
  const spared = start(join(programs, "spared"));
  const started = performance.now();
  const killed = start(join(programs, "killed"));
  try {
    await endsWithin(killed, RECORD_MS);
    const after = Math.round(performance.now() - started);
    const verdict = await warden.wait(isVerdict("kill"), RECORD_MS);
    if (verdict === undefined) return failed("the rule that kills gave no verdict");
    if (killed.signalCode !== "SIGKILL")
      return failed(`the program was not killed: ${verdict["policy.outcome"]}, ${verdict["policy.reason"]}`);
    if (spared.exitCode !== null || spared.signalCode !== null)
      return failed("a program that no rule names ended, too");
    return {
      passed: verdict["policy.outcome"] === "killed",
      detail: `killed ${after} ms after it was started`,
    };
  } finally {
    killed.kill("SIGKILL");
    spared.kill("SIGKILL");
  }
}
