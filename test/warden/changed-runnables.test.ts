// When a known program's file holds something else than was accepted, and what is asked for that.
import { beforeEach, describe, expect, test } from "bun:test";
import type { ComparedContents, Knowledge } from "../../src/baseline/baseline.ts";
import type { ExaminedContent } from "../../src/examiner/client.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { Lineages } from "../../src/forest/lineage.ts";
import type { FileState } from "../../src/linux/proc/process-file.ts";
import { type ProcessFacts, unknownFacts } from "../../src/sensor/event.ts";
import { ChangedRunnables, type RanProgram } from "../../src/warden/changed-runnables.ts";
import { RunnableContents, type SeenState } from "../../src/warden/runnable-contents.ts";

const job = "/usr/local/bin/job.sh";
const digest = (number: number): string => `sha256:${String(number).repeat(64)}`;
const OWN = 1;
const WALL_MS = 1_900_000_000_000;

/** A host with one file at each path, and an examiner that is played by the test. */
class Host {
  /** What is at each path. */
  files = new Map<string, FileState>();
  accepted: ComparedContents = [digest(1)];
  permitted = new Set<string>();
  asked: { id: number; path: string; hasFile: boolean }[] = [];
  proposed: string[] = [];
  now = 0;
  isFull = false;
  /** The process that ran has ended. */
  hasEnded = false;
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
    openInRootOf: (pid, path) =>
      this.hasEnded && pid !== OWN ? undefined : this.opened(new TextDecoder().decode(path).slice(0, -1)),
    ownPid: OWN,
    now: () => this.now,
  });
  changes = this.newChanges([]);

  newChanges(reported: readonly string[]): ChangedRunnables {
    const inputs = {
      contents: this.contents,
      permitted: () => this.permitted,
      isWanted: () => false,
      onContent: () => undefined,
      onChanged: (_: RanProgram, content: string) => void this.proposed.push(content),
    };
    return new ChangedRunnables(inputs, reported);
  }

  /** A process of a known tree runs the file; what is asked about it. */
  run(program: RanProgram): SeenState | undefined {
    return this.changes.look(program, this.knowledge);
  }

  changed(program: RanProgram, seen: SeenState | undefined): boolean | undefined {
    return this.changes.isChanged(program, this.knowledge, seen);
  }

  private get knowledge(): Knowledge {
    return { known: true, contents: this.accepted };
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
    expect(host.changed(ran, seen)).toBeUndefined();
    host.answer({ digest: digest(2) });
    expect(host.changed(ran, seen)).toBe(true);
    expect(host.proposed).toEqual([digest(2)]);
    host.permitted.add(digest(2));
    expect(host.changed(ran, seen)).toBe(false);
    host.permitted.clear();
    host.accepted = [digest(1), digest(2)];
    expect(host.changed(ran, seen)).toBe(false);
    expect(host.proposed).toEqual([digest(2)]);
  });

  test("that was written to before it could be read is changed, whatever it holds by then", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.files.set(job, state(300));
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, seen)).toBe(true);
    expect(host.proposed).toEqual([]);
  });

  test("whose mode or name changes meanwhile is what it was", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.files.set(job, state(100, { changed: 400 }));
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, seen)).toBe(false);
  });

  test("that is as a package brought it is not changed, and is asked for again when it is another file", () => {
    const ran = program(job);
    const seen = host.run(ran);
    host.answer({ packaged: true });
    expect(host.changed(ran, seen)).toBe(false);
    expect(host.changed(ran, host.run(ran))).toBe(false);
    expect(host.asked).toHaveLength(1);
    host.contents.forgetAll();
    host.run(ran);
    expect(host.asked).toHaveLength(2);
  });

  test("that was learned as its package brought it is changed once somebody has edited it", () => {
    host.accepted = "packaged";
    const ran = program(job);
    const seen = host.run(ran);
    host.answer({ packaged: true });
    expect(host.changed(ran, seen)).toBe(false);
    host.files.set(job, state(500));
    const edited = host.run(ran);
    expect(host.changed(ran, edited)).toBeUndefined();
    host.answer({ digest: digest(3) });
    expect(host.changed(ran, edited)).toBe(true);
    expect(host.proposed).toEqual([digest(3)]);
    // It is restored before the examiner has read it.
    host.files.set(job, state(600));
    const restored = host.run(ran);
    host.files.set(job, state(700));
    host.answer({ packaged: true });
    expect(host.changed(ran, restored)).toBe(true);
    // A package manager has replaced it meanwhile.
    const upgraded = host.run(ran);
    host.files.set(job, state(800));
    host.contents.take(host.asked.length, { packaged: true });
    expect(host.changed(ran, upgraded)).toBe(false);
  });

  test("that cannot be opened at all is asked for by its path, at most every 5 s", () => {
    host.files.delete(job);
    const ran = program(job);
    const seen = host.run(ran);
    host.run(ran);
    host.now = 6e9;
    host.run(ran);
    expect(host.asked.map(({ hasFile }) => hasFile)).toEqual([false, false]);
    host.contents.take(1, { packaged: false, state: state(100), digest: digest(3) });
    expect(host.changed(ran, seen)).toBe(true);
  });

  test("whose process has ended is what is at the path, if nobody has touched that since the exec", () => {
    const ran = program(job);
    host.hasEnded = true;
    const seen = host.run(ran);
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, seen)).toBe(false);
  });

  test("whose process has ended and whose file was changed since the exec has run something else", () => {
    const ran = program(job);
    host.run(ran);
    host.answer({ digest: digest(1) });
    host.hasEnded = true;
    host.files.set(job, state(100, { changed: WALL_MS * 1e6 + 5e6 }));
    const seen = host.run(ran);
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, seen)).toBe(true);
    // The restored file itself is asked for anew.
    host.hasEnded = false;
    const restored = host.run({ ...ran, wallTime: WALL_MS + 1000 });
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, restored)).toBe(false);
  });

  test("that was restored while its interpreter runs has run something else", () => {
    const ran = program(job);
    host.run(ran);
    host.answer({ digest: digest(1) });
    host.files.set(job, state(100, { changed: WALL_MS * 1e6 + 5e6 }));
    const seen = host.run(ran);
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, seen)).toBe(true);
    const next = host.run({ ...ran, wallTime: WALL_MS + 1000 });
    host.answer({ digest: digest(1) });
    expect(host.changed(ran, next)).toBe(false);
  });

  test("of which too many are asked about cannot be told", () => {
    host.isFull = true;
    const ran = program(job);
    expect(host.run(ran)).toBeUndefined();
    expect(host.changed(ran, undefined)).toBeUndefined();
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
    // The warden is started again.
    host.changes = host.newChanges(host.changes.listReported());
    expect(touched && host.changes.isReported(touched)).toBe(true);
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
    expect(host.changed(ran, host.run(ran))).toBe(false);
    host.files.set(agent, state(changed + 5e9));
    host.run(program(agent, { inode: 10, executableAge: age - 5 }));
    expect(host.asked).toHaveLength(2);
  });

  test("is not compared with the file of another process that has its pid by now", () => {
    host.files.set(agent, state(changed));
    const ran = program(agent, { inode: 99, executableAge: age });
    const seen = host.run(ran);
    host.answer({ digest: digest(1) });
    // What ran is no longer at its path.
    expect(host.changed(ran, seen)).toBe(true);
  });
});

describe("without a question", () => {
  const changedOf = (knowledge: Knowledge) => {
    const ran = program(knowledge.contents === "packaged" ? "/opt/agent" : job);
    return host.changes.isChanged(ran, knowledge, host.changes.look(ran, knowledge));
  };

  test.each([
    ["an unknown tree", { known: false }, false],
    ["a host without a baseline", { known: null }, false],
    ["a tree of which nobody can tell whether it is known", {}, undefined],
    ["a path that is folded or below a temporary directory", { known: true, contents: "exempt" }, false],
    ["an executable of a package", { known: true, contents: "packaged" }, false],
    ["a file that varies", { known: true, contents: "varies" }, undefined],
    ["a file of which no content was learned", { known: true }, undefined],
  ] as const)("%s", (_, knowledge, expected) => {
    expect(changedOf(knowledge)).toBe(expected);
    expect(host.asked).toEqual([]);
  });
});
