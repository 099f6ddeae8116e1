// When a known program's file holds something else than was accepted, and what is asked for that.
import { beforeEach, describe, expect, test } from "bun:test";
import type { Contents } from "../../src/baseline/contents.ts";
import type { ExaminedContent } from "../../src/examiner/client.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { Lineages } from "../../src/forest/lineage.ts";
import type { FileState } from "../../src/linux/proc/process-file.ts";
import { type ProcessFacts, unknownFacts } from "../../src/sensor/event.ts";
import { ChangedRunnables, type RanProgram } from "../../src/warden/changed-runnables.ts";
import { RunnableContents, type SeenState } from "../../src/warden/runnable-contents.ts";

const job = "/usr/local/bin/job.sh";
const digest = (number: number): string => `sha256:${String(number).repeat(64)}`;
const known = { known: true };
const WALL_MS = 1_900_000_000_000;

/** A host with one file at each path, and an examiner that is played by the test. */
class Host {
  /** What is at each path; undefined: the process has ended. */
  files = new Map<string, FileState>();
  accepted: Contents = [digest(1)];
  permitted = new Set<string>();
  asked: { id: number; path: string; hasFile: boolean }[] = [];
  proposed: string[] = [];
  now = 0;
  isFull = false;
  readonly contents = new RunnableContents({
    questions: {
      ask: (path, fd) => {
        if (this.isFull) return undefined;
        this.asked.push({ id: this.asked.length + 1, path, hasFile: fd !== undefined });
        return this.asked.length;
      },
    },
    // A descriptor that no test closes anything by.
    openExecutable: () => this.opened("/opt/agent"),
    openInRootOf: (_, path) => this.opened(new TextDecoder().decode(path).slice(0, -1)),
    now: () => this.now,
  });
  readonly changes = new ChangedRunnables({
    contents: this.contents,
    accepted: () => this.accepted,
    permitted: () => this.permitted,
    isWanted: () => false,
    onContent: () => undefined,
    onChanged: (_, content) => this.proposed.push(content),
  });

  /** A process runs the file; what is asked about it. */
  run(program: RanProgram): SeenState | undefined {
    return this.changes.look(program, known);
  }

  /** The examiner answers the last question. */
  answer(content: Partial<ExaminedContent>): void {
    const { id = 0, path = "" } = this.asked.at(-1) ?? {};
    const state = this.files.get(path);
    this.contents.take(id, { packaged: false, ...(state === undefined ? {} : { state }), ...content });
  }

  private opened(path: string) {
    const state = this.files.get(path);
    return state === undefined ? undefined : { fd: -1, state };
  }
}

function state(written: number, rest: Partial<FileState> = {}): FileState {
  return { device: 1, inode: 10, size: 20, modified: written, changed: written, ...rest };
}

function program(path: string, more: Partial<ProcessFacts> = {}): RanProgram {
  const script = path.endsWith(".sh") ? path : undefined;
  const executable = script === undefined ? path : "/usr/bin/dash";
  const facts = { ...unknownFacts, executable, args: ["/bin/sh", path], script, ...more };
  const lineage = new Lineages().intern(null, {
    program: identify(facts),
    earlier: [],
    uid: 0,
    container: null,
    complete: true,
    init: false,
    elided: null,
  });
  return { process: { pid: 7 }, lineage, facts, wallTime: WALL_MS };
}

let host: Host;
beforeEach(() => {
  host = new Host();
  host.files.set(job, state(100));
});

describe("a known script", () => {
  test("is asked for once for each state of its file, with the process's own file", () => {
    host.run(program(job));
    host.run(program(job));
    host.answer({ digest: digest(1) });
    host.run(program(job));
    expect(host.asked).toEqual([{ id: 1, path: job, hasFile: true }]);
    host.files.set(job, state(200));
    host.run(program(job));
    host.files.set(job, state(200, { inode: 11 }));
    host.run(program(job));
    expect(host.asked).toHaveLength(3);
  });

  test("cannot be told before the answer, and is changed if the answer is another content", () => {
    const ran = program(job);
    const seen = host.run(ran);
    expect(host.changes.isChanged(ran, known, seen)).toBeUndefined();
    host.answer({ digest: digest(2) });
    expect(host.changes.isChanged(ran, known, seen)).toBe(true);
    expect(host.proposed).toEqual([digest(2)]);
    host.permitted.add(digest(2));
    expect(host.changes.isChanged(ran, known, seen)).toBe(false);
    host.permitted.clear();
    host.accepted = [digest(1), digest(2)];
    expect(host.changes.isChanged(ran, known, seen)).toBe(false);
    expect(host.proposed).toEqual([digest(2)]);
  });

  test("that was written to before it could be read is changed, whatever it holds by then", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.files.set(job, state(300));
    host.answer({ digest: digest(1) });
    expect(host.changes.isChanged(ran, known, seen)).toBe(true);
    expect(host.proposed).toEqual([]);
  });

  test("whose mode or name changes meanwhile is what it was", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.files.set(job, state(100, { changed: 400 }));
    host.answer({ digest: digest(1) });
    expect(host.changes.isChanged(ran, known, seen)).toBe(false);
  });

  test("that a package owns by now is not changed, and is not asked for again", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.answer({ packaged: true });
    expect(host.changes.isChanged(ran, known, seen)).toBe(false);
    host.files.set(job, state(500));
    expect(host.changes.isChanged(ran, known, host.run(ran))).toBe(false);
    expect(host.asked).toHaveLength(1);
    host.contents.forgetAll();
    host.run(ran);
    expect(host.asked).toHaveLength(2);
  });

  test("whose process has ended is asked for by its path, at most every 5 s", () => {
    host.files.delete(job);
    const ran = program(job);
    const seen = host.run(ran);
    host.run(ran);
    host.now = 6e9;
    host.run(ran);
    expect(host.asked.map(({ hasFile }) => hasFile)).toEqual([false, false]);
    host.contents.take(1, { packaged: false, state: state(100), digest: digest(3) });
    expect(host.changes.isChanged(ran, known, seen)).toBe(true);
  });

  test("of which too many are asked about cannot be told", () => {
    host.isFull = true;
    const ran = program(job);
    expect(host.run(ran)).toBeUndefined();
    expect(host.changes.isChanged(ran, known, undefined)).toBeUndefined();
    host.isFull = false;
    expect(host.run(ran)).toBeDefined();
  });

  test("is reported once for each writing of a new content", () => {
    const seen = host.run(program(job));
    host.answer({ digest: digest(2) });
    if (seen === undefined) throw new Error("nothing was asked");
    expect(host.changes.isReported(seen)).toBe(false);
    host.changes.setReported(seen);
    expect(host.changes.isReported(seen)).toBe(true);
    // Another mode: the same content, written at the same time.
    host.files.set(job, state(100, { changed: 150 }));
    const touched = host.run(program(job));
    host.answer({ digest: digest(2) });
    expect(touched && host.changes.isReported(touched)).toBe(true);
    // Restored and edited once more.
    host.files.set(job, state(700));
    const again = host.run(program(job));
    host.answer({ digest: digest(2) });
    expect(again && host.changes.isReported(again)).toBe(false);
  });
});

describe("a known program of its own", () => {
  const agent = "/opt/agent";
  const age = 1000;
  const changed = WALL_MS * 1e6 - age * 1e9;

  test("whose inode and ctime the kernel reports as before is not opened", () => {
    host.files.set(agent, state(changed));
    host.run(program(agent, { inode: 10, executableAge: age }));
    host.answer({ digest: digest(1) });
    host.files.delete(agent);
    const ran = program(agent, { inode: 10, executableAge: age });
    expect(host.changes.isChanged(ran, known, host.run(ran))).toBe(false);
    host.files.set(agent, state(changed + 5e9));
    host.run(program(agent, { inode: 10, executableAge: age - 5 }));
    expect(host.asked).toHaveLength(2);
  });

  test("is not compared with the file of another process that has its pid by now", () => {
    host.files.set(agent, state(changed));
    host.run(program(agent, { inode: 99, executableAge: age }));
    expect(host.asked).toEqual([{ id: 1, path: agent, hasFile: false }]);
  });
});

describe("without a question", () => {
  const changedOf = (ran: RanProgram, knowledge: { known?: boolean | null }) =>
    host.changes.isChanged(ran, knowledge, host.changes.look(ran, knowledge));

  test("an unknown tree and a host without a baseline have nothing that changed", () => {
    expect(changedOf(program(job), { known: false })).toBe(false);
    expect(changedOf(program(job), { known: null })).toBe(false);
  });

  test("it cannot be told while nobody can tell whether the tree is known", () => {
    expect(changedOf(program(job), {})).toBeUndefined();
  });

  test("a path that is folded, or below a temporary directory, never changes", () => {
    expect(changedOf(program("/tmp/job.sh"), known)).toBe(false);
    expect(changedOf(program("/opt/app-1.2.3/job.sh"), known)).toBe(false);
  });

  test("a package's file does not change, and one that varies, or that nobody learned, cannot be told", () => {
    for (const [accepted, expected] of [
      ["packaged", false],
      ["varies", undefined],
      ["unknown", undefined],
    ] as const) {
      host.accepted = accepted;
      expect(changedOf(program(job), known)).toBe(expected);
    }
  });

  test("nothing was asked in any of these", () => {
    changedOf(program("/tmp/job.sh"), known);
    changedOf(program(job), { known: false });
    expect(host.asked).toEqual([]);
  });
});
