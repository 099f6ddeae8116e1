import { describe, expect, test } from "bun:test";
import type { CpuUse, ThreadUse } from "../../src/linux/proc/cpu-use.ts";
import { judgeStall, type Stall } from "../../src/supervisor/hang.ts";

const SECOND = 1e9;
const MAIN = 100;

function use(cpuSeconds: number, ...threads: readonly Partial<ThreadUse>[]): CpuUse {
  const whole = threads.map((thread, i) => ({ tid: MAIN + i, state: "S", ranNs: 0, waitedNs: 0, ...thread }));
  return { cpuNs: cpuSeconds * SECOND, threads: whole };
}

/** A process with a limit of 10 s that was looked at after 2, 8 and 10 s. */
function judge(first: CpuUse, previous: CpuUse, now: CpuUse): Stall {
  return judgeStall({ first, previous, now, sincePreviousNs: 2 * SECOND, limitNs: 10 * SECOND });
}

describe("a process that has not come back hangs", () => {
  test("if it is stopped, even while helper threads were still waiting for a CPU", () => {
    const now = use(1, { state: "T" }, { state: "T", waitedNs: 2 * SECOND });
    expect(judge(use(1), use(1, {}, {}), now)).toEqual({ kind: "hangs", how: "it is stopped" });
  });

  test("if it sleeps: nothing that it waits for has a time limit as long as its own", () => {
    const asleep = use(3, { state: "S" }, { state: "S" });
    expect(judge(asleep, asleep, asleep)).toEqual({ kind: "hangs", how: "it sleeps" });
  });

  test("if it waits for a disk that does not answer", () => {
    const waiting = use(3, { state: "D" });
    expect(judge(waiting, waiting, waiting).kind).toBe("hangs");
  });

  test("if it had the CPU all the time: an endless loop", () => {
    const now = use(8.1, { state: "R", ranNs: 8 * SECOND });
    expect(judge(use(0.1, { state: "R" }), use(6.1, { state: "R" }), now).kind).toBe("hangs");
  });

  test("if its loop has had as much CPU time in a minute, on a host that has little of it", () => {
    const now = use(7, { state: "R", ranNs: 7 * SECOND, waitedNs: 60 * SECOND });
    expect(judge(use(0.1), use(6.9, { state: "R" }), now).kind).toBe("hangs");
  });

  test("although a helper thread wakes up now and then, as the runtime's do", () => {
    const previous = use(3, { state: "S" }, { state: "S", ranNs: 0, waitedNs: 0 });
    const now = use(3, { state: "S" }, { state: "S", ranNs: 0.01 * SECOND, waitedNs: 0.2 * SECOND });
    expect(judge(previous, previous, now).kind).toBe("hangs");
  });
});

describe("a process that has not come back is starved", () => {
  test("if it could run and got no CPU at all: the kernel counts the wait only when it ends", () => {
    const waiting = use(0.1, { state: "R" });
    expect(judge(waiting, waiting, waiting)).toEqual({ kind: "starved", cpuMs: 0 });
  });

  test("if it runs now and then, and waits for a CPU most of the time", () => {
    const now = use(0.4, { state: "S", ranNs: 0.3 * SECOND, waitedNs: 1.6 * SECOND });
    expect(judge(use(0.1, {}), use(0.3, {}), now)).toEqual({ kind: "starved", cpuMs: 300 });
  });

  test("if its main thread waits for a helper thread that gets no CPU", () => {
    const now = use(0.1, { state: "S" }, { state: "R" });
    expect(judge(use(0.1), use(0.1, {}, {}), now).kind).toBe("starved");
  });
});
