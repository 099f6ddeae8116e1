import { expect, test } from "bun:test";
import { join } from "node:path";

const source = join(import.meta.dir, "../../src/linux/signalfd.ts");

/** Runs `code` in a process of its own, which has imported signalfd.ts as `signals`. */
function start(code: string): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const script = `const signals = await import(${JSON.stringify(source)}); ${code}`;
  return Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
}

test("a process that ignores SIGTERM goes on in the event loop, whose wait has an empty mask", async () => {
  await using child = start(
    'signals.blockSignals(["SIGTERM"]); signals.ignoreSignals(["SIGTERM"]); process.kill(process.pid, "SIGTERM"); await Bun.sleep(50); console.log("alive");',
  );
  expect(await child.stdout.text()).toBe("alive\n");
});

test("a program that it starts does not ignore the signal", async () => {
  await using child = start(
    'signals.ignoreSignals(["SIGTERM"]); const program = Bun.spawn(["/bin/sleep", "20"]); program.kill("SIGTERM"); await program.exited; console.log(program.signalCode);',
  );
  expect(await child.stdout.text()).toBe("SIGTERM\n");
});
