// Capabilities of this process (capabilities(7)): names, numbers, and what it has.
import { readFileSync } from "node:fs";

/** linux/capability.h, in the order of their numbers: CHOWN is 0, CHECKPOINT_RESTORE is 40. */
export const capabilityNames = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;
export type Capability = (typeof capabilityNames)[number];

export interface Capabilities {
  readonly effective: ReadonlySet<Capability>;
  readonly permitted: ReadonlySet<Capability>;
  readonly bounding: ReadonlySet<Capability>;
}

/** What the main thread of this process has now. Throws if /proc is not there. */
export function ownCapabilities(): Capabilities {
  return parseCapabilities(readFileSync("/proc/self/status", "latin1"));
}

/** The sets in /proc/PID/status; empty where a line is missing. */
export function parseCapabilities(status: string): Capabilities {
  return {
    effective: capabilitySet(status, "CapEff"),
    permitted: capabilitySet(status, "CapPrm"),
    bounding: capabilitySet(status, "CapBnd"),
  };
}

/** The number of `name` as capset(2) and the masks of /proc count it. */
export function capabilityNumber(name: Capability): number {
  return capabilityNames.indexOf(name);
}

/** Capabilities newer than this list are left out: nothing here asks for them. */
function capabilitySet(status: string, line: string): Set<Capability> {
  const mask = BigInt(`0x${new RegExp(`^${line}:\\t([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0"}`);
  return new Set(capabilityNames.filter((_, number) => (mask >> BigInt(number)) & 1n));
}
