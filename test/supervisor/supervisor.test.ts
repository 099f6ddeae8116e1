// Orders that a warden must get although a process died at the wrong moment, with processes that only print their orders.
import { expect, test } from "bun:test";
import { join } from "node:path";

const program = join(import.meta.dir, "supervisor-child.ts");
/** The longest wait for an order, ms. */
const WITHIN_MS = 10_000;

/** What the processes print, until one prints `wanted`. */
async function printedUntil(role: string, wanted: string): Promise<string[]> {
  const supervisor = Bun.spawn([process.execPath, program, role], {
    stdout: "pipe",
    stderr: "ignore",
    timeout: WITHIN_MS,
    killSignal: "SIGKILL",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of supervisor.stdout) {
    text += decoder.decode(bytes);
    if (text.includes(`${wanted}\n`)) break;
  }
  supervisor.kill("SIGKILL");
  await supervisor.exited;
  return text.trimEnd().split("\n");
}

test("a supervisor that takes over has a successor proceed that was waiting for that, before it sends anything else", async () => {
  const orders = await printedUntil("take-over", "waiting-warden proceed");
  expect(orders.find((line) => line.startsWith("waiting-warden"))).toBe("waiting-warden proceed");
}, 15_000);

test("a warden that was started again gets the order to reload that the previous one has not read", async () => {
  expect(await printedUntil("take-over-deaf", "warden reload")).toContain("warden reload");
}, 15_000);
