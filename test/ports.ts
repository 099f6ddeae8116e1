// Ports for tests that listen: each is one test's alone, also while others run beside it.
import { mkdirSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../src/linux/flock.ts";

/** Below the ports that connections get by themselves: one of those may have it when a server starts again. */
const FIRST = 20_000;
const COUNT = 12_000;
const folder = join(tmpdir(), "treewarden-test-ports");

/** A port of 127.0.0.1 that nobody listens on; no other test gets it before this process ends. */
export function freePort(): number {
  mkdirSync(folder, { recursive: true });
  const start = Math.floor(Math.random() * COUNT);
  for (let i = 0; i < COUNT; i += 1) {
    const port = FIRST + ((start + i) % COUNT);
    // The lock ends with this process, however that ends.
    if (tryLock(openSync(join(folder, String(port)), "w")) && isFree(port)) return port;
  }
  throw new Error(`no port from ${FIRST} to ${FIRST + COUNT} is free`);
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
