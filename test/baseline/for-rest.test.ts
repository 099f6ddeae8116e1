import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ForRestLimits, ForRestLines, forRestName } from "../../src/baseline/for-rest.ts";
import { labelOf } from "../../src/fingerprint/label.ts";
import { nameOf } from "../../src/fingerprint/path.ts";
import {
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
  unknownFacts,
} from "../../src/sensor/event.ts";

const at = { source: "ebpf", time: 1 } as const;

function facts(executable: string, uid = 0, gid = 0): ProcessFacts {
  return { ...unknownFacts, executable, uid, gid };
}

function fork(pid: number, parentPid: number): ProcessEvent {
  return { kind: "fork", ...at, pid, parentPid, startTicks: pid, startExact: true };
}

function exec(pid: number, executable: string, uid = 0, gid = 0): ProcessEvent {
  return { kind: "exec", ...at, pid, facts: facts(executable, uid, gid) };
}

function exit(pid: number, status: number | undefined): ProcessEvent {
  return { kind: "exit", ...at, pid, status };
}

const init: ScannedProcess = { pid: 1, kernelThread: false, facts: facts("/sbin/init") };

function collector(limits?: ForRestLimits): ForRestLines {
  const name = (of: ProcessFacts) => labelOf(nameOf(of.executable ?? ""));
  const lines = new ForRestLines(limits === undefined ? { name } : { name, limits });
  lines.begin([init]);
  return lines;
}

interface GroupChange {
  readonly pid: number;
  readonly gid: number;
}

function linesOf(...events: readonly (ProcessEvent | GroupChange)[]): string[] {
  const lines = collector();
  for (const event of events) {
    if ("kind" in event) lines.event(event);
    else lines.groupChanged(event.pid, event.gid);
  }
  return lines.lines();
}

/** xinetd as the worked example has it: forked away from its starters, ready to serve. */
const toXinetd = [
  fork(2, 1),
  fork(3, 2),
  exec(3, "/usr/sbin/capchroot"),
  exec(3, "/etc/rc.d/rc"),
  fork(4, 3),
  exec(4, "/etc/rc.d/S56xinetd"),
  fork(5, 4),
  exec(5, "/sbin/initlog"),
  fork(6, 5),
  exec(6, "/usr/sbin/xinetd"),
  fork(7, 6),
];
const aboveIpop3d =
  "init/init:Fork ,0,0,0000/rc:eXec capchroot,0,0,0000/S56xinetd:eXec rc,0,0,0000/initlog:eXec S56xinetd,0,0,0000/xinetd:eXec initlog,0,0,0000/xinetd:Fork ,0,0,0000";
const SIGPIPE = 13;
const SIGABRT = 6;
const SIGKILL = 9;
const CORE = 0x80;

describe("for-rest's worked examples", () => {
  test("xinetd starts ipop3d, which changes its group and dies of SIGPIPE", () => {
    const before = linesOf(...toXinetd);
    const after = linesOf(
      ...toXinetd,
      fork(8, 7),
      exec(8, "/usr/sbin/ipop3d"),
      { pid: 8, gid: 12 },
      exit(8, SIGPIPE),
    );
    expect(after.filter((line) => !before.includes(line))).toEqual([
      `${aboveIpop3d}/ipop3d:Fork xinetd,0,0,0000`,
      `${aboveIpop3d}/ipop3d:eXec xinetd,0,0,0000`,
      `${aboveIpop3d}/ipop3d:end,0,12,000d`,
    ]);
  });

  test("a daemon forks twice and runs nothing else", () => {
    const lines = linesOf(...toXinetd, exit(7, 0));
    expect(lines).toContain(aboveIpop3d);
    expect(lines).toContain(aboveIpop3d.replace(/xinetd:Fork ,0,0,0000$/, "xinetd:end,0,0,0000"));
  });

  test("exit(3) is 0300, SIGKILL 0009, SIGABRT 0006 with and without a core", () => {
    const ends = (status: number) =>
      linesOf(fork(9, 1), exec(9, "/usr/bin/job", 1000, 1000), exit(9, status)).find((line) =>
        line.includes(":end"),
      );
    expect(ends(3 << 8)).toBe("init/job:end,1000,1000,0300");
    expect(ends(SIGKILL)).toBe("init/job:end,1000,1000,0009");
    expect(ends(SIGABRT)).toBe("init/job:end,1000,1000,0006");
    expect(ends(SIGABRT | CORE)).toBe("init/job:end,1000,1000,0006");
  });
});

describe("a line", () => {
  test("of a fork that is followed by an exec has the later name", () => {
    expect(linesOf(fork(2, 1))).toEqual(["init/init:Fork ,0,0,0000"]);
    expect(linesOf(fork(2, 1), exec(2, "/bin/a"), exec(2, "/bin/b"))).toEqual([
      "init/a:Fork init,0,0,0000",
      "init/a:eXec init,0,0,0000",
      "init/b:eXec a,0,0,0000",
    ]);
  });

  test("has each ancestor as it was when it forked the next one", () => {
    const lines = linesOf(
      fork(2, 1),
      fork(3, 2),
      exec(2, "/bin/a"),
      fork(4, 2),
      exit(2, 0),
      exit(3, 0),
      exit(4, 0),
    );
    expect(lines).toContain("init/init:Fork ,0,0,0000/init:end,0,0,0000");
    expect(lines).toContain("init/a:eXec init,0,0,0000/a:end,0,0,0000");
  });

  test("is there once, however often it happened", () => {
    const twice = [2, 3].flatMap((pid) => [fork(pid, 1), exec(pid, "/bin/a"), exit(pid, 0)]);
    expect(linesOf(...twice)).toHaveLength(3);
  });

  test("says what is not known", () => {
    expect(linesOf({ kind: "exec", ...at, pid: 5, facts: unknownFacts }, exit(5, undefined))).toEqual([
      "unknown:eXec ,?,?,0000",
      "unknown:end,?,?,?",
    ]);
  });

  test("can always be taken apart, whatever a program is called", () => {
    const program = fc
      .string({ unit: "binary", minLength: 1, maxLength: 12 })
      .map((text) => text.replaceAll("/", "_"));
    const node = /^[^:, /]+:(?:Fork (?:[^:, /]+)?|eXec (?:[^:, /]+)?|end),\d+,\d+,[0-9a-f]{4}$/;
    fc.assert(
      fc.property(program, program, (a, b) => {
        const events = [fork(2, 1), exec(2, `/bin/${a}`), fork(3, 2), exec(3, `/bin/${b}`), exit(3, 0)];
        for (const line of linesOf(...events)) {
          const [root, ...nodes] = line.split("/");
          expect(root).toBe("init");
          for (const one of nodes) expect(one).toMatch(node);
        }
      }),
    );
  });

  test("different names stay different", () => {
    const names = ["a:b", "a,b", "a b", "a\\x3ab", "a/b"].map((name) => forRestName(labelOf(name)));
    expect(new Set(names).size).toBe(names.length);
    expect(names[0]).toBe("a\\x3ab");
  });
});

describe("whatever processes do", () => {
  test("a chain of forks makes lines of bounded length", () => {
    const lines = collector();
    for (let pid = 2; pid < 2_000; pid++) {
      lines.event(fork(pid, pid - 1));
      lines.event(exec(pid, `/bin/${pid % 2}`));
    }
    const longest = Math.max(...lines.lines().map((line) => line.split("/").length));
    expect(longest).toBe(32);
    expect(lines.lines().length).toBeLessThan(200);
  });

  test("lines and processes beyond the bound are counted, not kept", () => {
    const lines = collector({ lines: 10, characters: 10_000, processes: 5 });
    for (let pid = 2; pid < 100; pid++) {
      lines.event(fork(pid, 1));
      lines.event(exec(pid, `/bin/p${pid}`));
    }
    expect(lines.lines().length).toBeLessThanOrEqual(15);
    expect(lines.missed).toBeGreaterThan(100);
  });
});
