import { expect, test } from "bun:test";
import { isStopped, parseCpuTicks, readCpuUse } from "../../../src/linux/proc/cpu-use.ts";

test("the CPU time is found behind a name that imitates the file's own format", () => {
  // Linux 6.1, a process named "a) R 1 (": utime 3, stime 4.
  const stat = "77 (a) R 1 () S 1 77 77 0 -1 4194560 106 0 0 0 3 4 0 0 20 0 1 0 5000 1 1";
  expect(parseCpuTicks(Buffer.from(stat))).toEqual({ state: "S", ticks: 7 });
});

test("a file that was cut is no measurement", () => {
  for (const text of ["", "77 (a", "77 (a)", "77 (a) S 1 77 77 0 -1 4194560 106 0 0 0 3"])
    expect(parseCpuTicks(Buffer.from(text))).toBeUndefined();
});

test("this process runs, and what it uses is counted", () => {
  const before = readCpuUse(process.pid);
  const start = process.cpuUsage();
  for (let used = 0; used < 60_000; ) {
    const { user, system } = process.cpuUsage(start);
    used = user + system;
  }
  const after = readCpuUse(process.pid);
  expect(after?.threads[0]).toMatchObject({ tid: process.pid, state: "R" });
  expect((after?.cpuNs ?? 0) - (before?.cpuNs ?? 0)).toBeGreaterThanOrEqual(20e6);
});

test("a process that has ended has no measurement", () => {
  const { pid } = Bun.spawnSync(["true"]);
  expect(readCpuUse(pid)).toBeUndefined();
  expect(isStopped(pid)).toBe(false);
});

test("a stopped process is seen as one, and a process that goes on is not", async () => {
  const child = Bun.spawn(["sleep", "10"]);
  child.kill("SIGSTOP");
  for (let i = 0; i < 100 && !isStopped(child.pid); i += 1) await Bun.sleep(5);
  expect(isStopped(child.pid)).toBe(true);
  child.kill("SIGCONT");
  for (let i = 0; i < 100 && isStopped(child.pid); i += 1) await Bun.sleep(5);
  expect(isStopped(child.pid)).toBe(false);
  child.kill("SIGKILL");
});
