import { expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ESRCH } from "../../src/linux/libc.ts";
import { TimedRead } from "../../src/linux/timed-read.ts";
import { emptyPipe } from "./empty-pipe.ts";

const SECOND_NS = 1e9;

test("a file is read from its start, up to the limit", () => {
  const path = join(tmpdir(), `timed-read-${process.pid}`);
  writeFileSync(path, "abcdef");
  const read = new TimedRead(16);
  for (const [limit, text] of [
    [16, "abcdef"],
    [4, "abcd"],
    [100, "abcdef"],
  ] as const) {
    expect(read.begin(openSync(path, "r"), limit)).toBe(0);
    const length = read.wait(SECOND_NS);
    expect(new TextDecoder().decode(read.data.subarray(0, length))).toBe(text);
  }
});

test("an error is that of the read", () => {
  // A process that has ended while its file was open.
  const child = Bun.spawn(["sleep", "60"]);
  const fd = openSync(`/proc/${child.pid}/stat`, "r");
  child.kill("SIGKILL");
  return child.exited.then(() => {
    const read = new TimedRead(16);
    read.begin(fd);
    expect(read.wait(SECOND_NS)).toBe(-ESRCH);
  });
});

test("a read that hangs costs the time that it is given, and ends when it can", () => {
  const pipe = emptyPipe();
  const read = new TimedRead(16);
  expect(read.begin(pipe.reader)).toBe(0);
  const begin = performance.now();
  expect(read.wait(30e6)).toBeUndefined();
  const ms = performance.now() - begin;
  expect(ms).toBeGreaterThanOrEqual(29);
  expect(ms).toBeLessThan(1_000);
  expect(read.wait(0)).toBeUndefined();
  writeSync(pipe.writer, "late");
  expect(read.wait(SECOND_NS)).toBe(4);
  closeSync(pipe.writer);
});

test("others are read while one hangs", () => {
  const pipe = emptyPipe();
  const hanging = new TimedRead(16);
  hanging.begin(pipe.reader);
  expect(hanging.wait(1e6)).toBeUndefined();
  const read = new TimedRead(4096);
  read.begin(openSync("/proc/self/cmdline", "r"));
  expect(read.wait(SECOND_NS)).toBeGreaterThan(0);
  closeSync(pipe.writer);
  expect(hanging.wait(SECOND_NS)).toBe(0);
});

test.skipIf(process.getuid?.() !== 0)(
  "the thread that reads has the scheduling of the one that waits",
  async () => {
    const script = `
    import { setScheduling } from "${join(import.meta.dir, "../../src/linux/process.ts")}";
    import { TimedRead } from "${join(import.meta.dir, "../../src/linux/timed-read.ts")}";
    import { openSync, readdirSync, readFileSync } from "node:fs";
    const realtime = () =>
      readdirSync("/proc/self/task").filter((thread) => {
        const stat = readFileSync("/proc/self/task/" + thread + "/stat", "latin1");
        // Field 41 of proc_pid_stat(5): 1 is SCHED_FIFO.
        return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38] === "1";
      }).length;
    setScheduling("realtime");
    const before = realtime();
    const read = new TimedRead(16);
    read.begin(openSync("/proc/self/cmdline", "r"));
    read.wait(1e9);
    console.log(before, realtime());
    setScheduling("ordinary");
  `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    expect(await new Response(child.stdout).text()).toBe("1 2\n");
  },
);
