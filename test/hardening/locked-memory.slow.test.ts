// Who raises the limit on locked memory for the warden's BPF maps, as kernels before 5.11 need it: the supervisor, while it
// has the right (CAP_SYS_RESOURCE), which no process keeps.
import { expect, test } from "bun:test";
import { join } from "node:path";
import type { PrivilegeMode, ProcessRole } from "../../src/hardening/privileges.ts";

const source = join(import.meta.dir, "../../src/hardening/restrict.ts");

/** The soft limit, of 64 KiB at its start and 1 MiB at most, after a process has given up what `role` does not need. */
function limitOf(role: ProcessRole, sensor: PrivilegeMode["source"]): string {
  const mode: PrivilegeMode = {
    source: sensor,
    network: true,
    enforcement: "observe",
    mail: false,
    setIdMail: false,
    evidence: false,
    exports: false,
  };
  const script = `
    import { readFileSync } from "node:fs";
    import { giveUp } from "${source}";
    giveUp("${role}", ${JSON.stringify(mode)}, { folder: "/", read: [] });
    console.log(/^Max locked memory +(\\S+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1]);
  `;
  const command = ["prlimit", "--memlock=65536:1048576", process.execPath, "-e", script];
  return Bun.spawnSync(command, { stdio: ["ignore", "pipe", "inherit"] })
    .stdout.toString()
    .trim();
}

test("the supervisor raises it as far as it may, and its children inherit that", () => {
  const raised = ["unlimited", "1048576"];
  expect(raised).toContain(limitOf("supervisor", "ebpf"));
  expect(raised).toContain(limitOf("supervisor", "auto"));
});

test("it stays where nothing loads BPF programs", () => {
  expect(limitOf("supervisor", "netlink")).toBe("65536");
});
