// The table of privileges, against what must never be in it, and against what is made from it.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pageText } from "../../build/privileges-page.ts";
import {
  capabilitiesOf,
  fileScopeOf,
  type PrivilegeMode,
  type ProcessRole,
  processRoles,
  startCapabilities,
  systemCallsOf,
} from "../../src/hardening/privileges.ts";
import { systemCallFilter } from "../../src/linux/seccomp.ts";
import type { SystemCall } from "../../src/linux/system-calls.ts";
import { liveSources, sensors } from "../../src/vocabulary/sensors.ts";

const modes: readonly PrivilegeMode[] = (["ebpf", "netlink", "auto"] as const).flatMap((source) =>
  (["observe", "kill"] as const).flatMap((enforcement) =>
    [true, false].flatMap((mail) =>
      [true, false].flatMap((network) =>
        [true, false].map((exports) => ({
          source,
          network,
          enforcement,
          mail,
          setIdMail: false,
          evidence: false,
          exports,
        })),
      ),
    ),
  ),
);
const least: PrivilegeMode = {
  source: "ebpf",
  network: false,
  enforcement: "observe",
  mail: false,
  setIdMail: false,
  evidence: false,
  exports: false,
};

function names(role: ProcessRole, mode: PrivilegeMode): readonly string[] {
  return [...capabilitiesOf(role, mode)].toSorted();
}

function mayCall(role: ProcessRole, mode: PrivilegeMode, call: SystemCall): boolean {
  return systemCallsOf(role, mode).has(call);
}

describe("capabilities", () => {
  test("the warden has those of its source and its enforcement", () => {
    expect(names("warden", least)).toEqual(["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"]);
    expect(names("warden", { ...least, source: "netlink" })).toEqual([
      "CAP_NET_ADMIN",
      "CAP_SYS_NICE",
      "CAP_SYS_PTRACE",
    ]);
    expect(names("warden", { ...least, enforcement: "kill" })).toEqual([
      "CAP_BPF",
      "CAP_KILL",
      "CAP_PERFMON",
      "CAP_SYS_NICE",
      "CAP_SYS_PTRACE",
    ]);
  });

  test("the warden has what its source needs", () => {
    for (const source of liveSources)
      for (const capability of sensors[source].capabilities)
        expect(names("warden", { ...least, source })).toContain(capability);
  });

  test("the examiner reads files of every user, the reporter only changes its user, in every mode", () => {
    for (const mode of modes) {
      expect(names("examiner", mode)).toEqual(["CAP_DAC_READ_SEARCH"]);
      expect(names("reporter", mode)).toEqual(["CAP_SETGID", "CAP_SETUID"]);
    }
  });

  test("the supervisor has those of its children, because it cannot give them what it does not have", () => {
    for (const mode of modes)
      for (const role of processRoles)
        for (const capability of capabilitiesOf(role, mode))
          expect(capabilitiesOf("supervisor", mode)).toContain(capability);
  });
});

describe("system calls", () => {
  test("of no process include clone3, whose flags a filter cannot see", () => {
    for (const mode of modes)
      for (const role of processRoles) expect([...systemCallsOf(role, mode).keys()]).not.toContain("clone3");
  });

  test("nobody traces processes, reads their memory, mounts, or loads modules", () => {
    const filters = modes.flatMap((mode) => processRoles.map((role) => systemCallsOf(role, mode)));
    for (const filter of filters)
      for (const call of filter.keys())
        expect(call).not.toMatch(/ptrace|process_vm|mount|module|kexec|chroot|setns|unshare|keyctl|io_uring/);
  });

  test("only the supervisor starts programs, and the reporter where it mails", () => {
    for (const mode of modes) {
      for (const call of ["execve", "execveat", "vfork"] as const) {
        expect(mayCall("warden", mode, call)).toBe(false);
        expect(mayCall("examiner", mode, call)).toBe(false);
        expect(mayCall("reporter", mode, call)).toBe(mode.mail);
        expect(mayCall("supervisor", mode, call)).toBe(true);
      }
    }
  });

  test("warden and examiner open no connection; the reporter does where it exports or mails", () => {
    for (const mode of modes) {
      for (const call of ["connect", "accept4", "listen"] as const) {
        expect(mayCall("warden", mode, call)).toBe(false);
        expect(mayCall("examiner", mode, call)).toBe(false);
      }
      expect(mayCall("examiner", mode, "socket")).toBe(false);
      expect(mayCall("warden", mode, "socket")).toBe(mode.source !== "ebpf");
      expect(mayCall("reporter", mode, "connect")).toBe(mode.exports || mode.mail);
    }
  });

  test("only the warden uses bpf and, where it kills, signals processes", () => {
    for (const mode of modes) {
      expect(mayCall("warden", mode, "bpf")).toBe(true);
      expect(mayCall("warden", mode, "pidfd_send_signal")).toBe(mode.enforcement === "kill");
      for (const role of ["examiner", "reporter"] as const) {
        expect(mayCall(role, mode, "bpf")).toBe(false);
        expect(mayCall(role, mode, "pidfd_send_signal")).toBe(false);
      }
    }
  });

  test("a child's filter allows nothing that its supervisor's refuses", () => {
    for (const mode of modes)
      for (const role of processRoles)
        for (const call of systemCallsOf(role, mode).keys())
          expect(mayCall("supervisor", mode, call)).toBe(true);
  });

  test("each filter is one that the kernel takes: at most 4,096 instructions, each jump in reach", () => {
    for (const mode of modes)
      for (const role of processRoles)
        expect(systemCallFilter(systemCallsOf(role, mode)).length).toBeLessThan(4096);
  });
});

test("no process but the reporter without mail, and the examiner, is kept from files by Landlock", () => {
  expect(fileScopeOf("examiner", least)).toBe("read everything");
  expect(fileScopeOf("reporter", least)).toBe("read the system, write its own folder");
  expect(fileScopeOf("reporter", { ...least, mail: true })).toBe("everything");
  expect(fileScopeOf("warden", least)).toBe("everything");
});

test("the systemd unit gives what the supervisor and its start need, and no more", () => {
  const unit = readFileSync(join(import.meta.dir, "../../packaging/systemd/treewarden.service"), "utf8");
  const [, set = ""] = /^CapabilityBoundingSet=(.*)$/m.exec(unit) ?? [];
  const all = capabilitiesOf("supervisor", { ...least, source: "auto", enforcement: "kill" });
  expect(set.split(" ").toSorted()).toEqual(
    [...all, ...startCapabilities.map(({ name }) => name)].toSorted(),
  );
});

test("docs/privileges.md is what `npm run docs` makes of the table", () => {
  expect(readFileSync(join(import.meta.dir, "../../docs/privileges.md"), "utf8")).toBe(pageText());
});

test("a reporter that connects to a collector has no datagram sockets of AF_UNIX, by which services notify their manager", () => {
  const rule = systemCallsOf("reporter", { ...least, exports: true }).get("socket");
  const [AF_UNIX, SOCK_STREAM] = [1, 1];
  const local = (rule === true ? [] : (rule ?? [])).filter((tests) =>
    tests.some(({ argument, equals }) => argument === 0 && equals === AF_UNIX),
  );
  expect(local.length).toBe(1);
  expect(local[0]).toContainEqual({ argument: 1, mask: 0xf, equals: SOCK_STREAM });
});
