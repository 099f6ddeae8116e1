import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import type { ProcessKey } from "../../src/vocabulary/process-key.ts";
import { kernelSignals } from "../../src/warden/kernel-signals.ts";

const NOBODY = 65_534;
/** A word of this process's own arguments takes the place of the run's id. */
const runId = readFileSync("/proc/self/cmdline", "latin1").split("\0")[1] ?? "";
/** Starts itself again, tells of it, and waits. */
const forker = `
  const child = Bun.spawn(["/proc/self/exe", "-e", "await Bun.sleep(20_000)", "--", process.argv.at(-1)]);
  console.log(child.pid);
  await child.exited;
`;

function keyOf(pid: number): ProcessKey {
  return { pid, startTicks: 0, startExact: true };
}

test.skipIf(process.geteuid?.() !== 0)(
  "the reporter is treewarden's, though it is another user's; what that user starts by itself is not",
  async () => {
    using reader = new FactsReader();
    const { isOwnProcess } = kernelSignals(reader, runId);
    await using reporter = Bun.spawn(["/proc/self/exe", "-e", forker, "--", runId], {
      uid: NOBODY,
      gid: NOBODY,
      env: {},
      cwd: "/",
      stdout: "pipe",
    });
    const { value } = await reporter.stdout.getReader().read();
    const grandchild = Number(new TextDecoder().decode(value));
    try {
      expect(grandchild).toBeGreaterThan(1);
      expect(isOwnProcess(keyOf(process.pid))).toBe(true);
      expect(isOwnProcess(keyOf(reporter.pid))).toBe(true);
      expect(isOwnProcess(keyOf(grandchild))).toBe(false);
      expect(isOwnProcess(keyOf(1))).toBe(false);
      // What it was started with tells more cheaply, and only in this direction.
      expect(isOwnProcess(keyOf(process.pid), ["treewarden", runId])).toBe(true);
      expect(isOwnProcess(keyOf(1), ["treewarden", runId])).toBe(false);
      expect(isOwnProcess(keyOf(process.pid), ["sleep", "1"])).toBe(false);
    } finally {
      process.kill(grandchild, "SIGKILL");
    }
  },
);

test("the start of a process is asked for by itself", () => {
  using reader = new FactsReader();
  expect(reader.startTicks(process.pid)).toBe(reader.read(process.pid).startTicks);
  expect(reader.startTicks(2 ** 22 + 1)).toBeUndefined();
});
