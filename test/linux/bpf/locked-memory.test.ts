// Loading BPF under a low limit on locked memory, as a kernel before 5.11 counts it: each test is a process of its own,
// which a stand-in for that kernel refuses with EPERM while its limit is below 1 MiB.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { withLockedMemory } from "../../../src/linux/bpf/locked-memory.ts";
import { EPERM, SystemCallError } from "../../../src/linux/libc.ts";

const source = join(import.meta.dir, "../../../src/linux");
const script = `
  import { readFileSync } from "node:fs";
  import { withLockedMemory } from "${source}/bpf/locked-memory.ts";
  import { EPERM, SystemCallError } from "${source}/libc.ts";
  let calls = 0;
  const load = () => {
    calls += 1;
    const now = /^Max locked memory +(\\S+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    if (now !== "unlimited" && Number(now) < 1 << 20) throw new SystemCallError("bpf MAP_CREATE", EPERM, "events");
    return now;
  };
  try { console.log(withLockedMemory(load), calls); } catch (error) { console.log(error.message, calls); }
`;

/** What the process says that loads under the limits `memlock` (soft:hard), started by `inside`. */
function load(memlock: string, inside: readonly string[] = []): string {
  const command = ["prlimit", `--memlock=${memlock}`, ...inside, process.execPath, "-e", script];
  return Bun.spawnSync(command, { stdio: ["ignore", "pipe", "inherit"] })
    .stdout.toString()
    .trim();
}

/** linux/capability.h */
const CAP_SYS_RESOURCE = 24n;
const effective = BigInt(
  `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`,
);
const mayRaise = ((effective >> CAP_SYS_RESOURCE) & 1n) === 1n;
const unprivileged = mayRaise ? ["setpriv", "--bounding-set=-sys_resource"] : [];

// Many a container's root may not raise a hard limit.
if (mayRaise)
  test("root takes a low limit away", () => {
    expect(load("65536:65536")).toBe("unlimited 2");
  });

test("without CAP_SYS_RESOURCE a low limit is raised to the hard limit", () => {
  expect(load("65536:1048576", unprivileged)).toBe("1048576 2");
});

test("where nothing higher is allowed the kernel's refusal is the error", () => {
  expect(load("65536:65536", unprivileged)).toBe("bpf MAP_CREATE events: EPERM 1");
});

test("a limit that is high enough is left alone", () => {
  expect(load("1048576:2097152", unprivileged)).toBe("1048576 1");
});

test("another error than EPERM is not tried again", () => {
  let calls = 0;
  const fail = () => {
    calls += 1;
    throw new SystemCallError("bpf MAP_CREATE", EPERM + 1);
  };
  expect(() => withLockedMemory(fail)).toThrow("bpf MAP_CREATE");
  expect(calls).toBe(1);
});
