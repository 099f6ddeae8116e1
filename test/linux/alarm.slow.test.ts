import { expect, test } from "bun:test";

function run(script: string) {
  const alarm = JSON.stringify(new URL("../../src/linux/alarm.ts", import.meta.url).pathname);
  return Bun.spawnSync([process.execPath, "-e", `const { endAfter } = require(${alarm}); ${script}`], {
    timeout: 10_000,
  });
}

test("a process that hangs in the kernel is ended", () => {
  const pipe = `/tmp/treewarden-test-alarm-${process.pid}`;
  Bun.spawnSync(["mkfifo", pipe]);
  const begin = performance.now();
  // Nobody ever opens the other end.
  const { signalCode } = run(`endAfter(1); require("node:fs").openSync("${pipe}", "r")`);
  Bun.spawnSync(["rm", pipe]);
  expect(signalCode).toBe("SIGALRM");
  expect(performance.now() - begin).toBeLessThan(5_000);
});

test("one that was back in time is not", () => {
  const { exitCode } = run("endAfter(1); endAfter(0); Bun.sleepSync(1500)");
  expect(exitCode).toBe(0);
});
