import { expect, test } from "bun:test";
import { join } from "node:path";
import { bootId, getpid, getppid } from "../../src/linux/process.ts";

const source = join(import.meta.dir, "../../src/linux");

/** Runs `script` in a runtime of its own and gives back what it printed. */
async function run(script: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  return (await new Response(child.stdout).text()).trim();
}

test("pids are this process's own", () => {
  expect(getpid()).toBe(process.pid);
  expect(getppid()).toBe(process.ppid);
});

test("the boot id is a UUID and does not change", () => {
  expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(bootId()).toBe(bootId());
});

test("the kernel counts in hundredths of a second", () => {});

test("a name set is the one /proc shows, cut at 15 bytes", async () => {
  const shown = await run(`
    import { setProcessName } from "${source}/process.ts";
    import { readFileSync } from "node:fs";
    setProcessName("warden-of-all-trees");
    process.stdout.write(readFileSync("/proc/self/comm"));
  `);
  expect(shown).toBe("warden-of-all-t");
});

test("blocked signals outlive the replacement of the process and are read from a signalfd", async () => {
  const script = `
    import { blockSignals, SignalDescriptor } from "${source}/signalfd.ts";
    import { replaceProcess } from "${source}/process.ts";
    import { openSync, readdirSync } from "node:fs";
    if (process.env.STAGE !== "2") {
      blockSignals(["SIGTERM", "SIGHUP"]);
      openSync("/dev/zero", "r");
      replaceProcess(["bun", "-e", process.env.SCRIPT], { STAGE: "2", SCRIPT: process.env.SCRIPT });
    }
    using signals = new SignalDescriptor(["SIGTERM", "SIGHUP"]);
    process.kill(process.pid, "SIGTERM");
    const first = signals.read();
    process.stdout.write(JSON.stringify([first, signals.sender === process.pid, Object.keys(process.env).sort()]));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], {
    stdout: "pipe",
    stderr: "inherit",
    env: { SCRIPT: script, SECRET: "not for the next image" },
  });
  const printed: unknown = JSON.parse(await new Response(child.stdout).text());
  expect(printed).toEqual([15, true, ["SCRIPT", "STAGE"]]);
});

test("an argument with a NUL byte is refused, and the process goes on", async () => {
  const said = await run(`
    import { replaceProcess } from "${source}/process.ts";
    try { replaceProcess(["bun", "a\\0b"], {}); } catch (error) { process.stdout.write(String(error)); }
  `);
  expect(said).toContain("NUL");
});
