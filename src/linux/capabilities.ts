// Capabilities (capabilities(7)) of the calling thread, and no_new_privs. A program that it executes gets them for all
// of its threads.
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({
  capget: { args: ["ptr", "ptr"], returns: "i32" },
  capset: { args: ["ptr", "ptr"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
});

/** linux/capability.h: the capabilities that treewarden uses. */
const numbers = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_NICE: 23,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

export type Capability = keyof typeof numbers;

/** A set of capabilities, one bit for each, as in /proc/PID/status. */
export type CapabilityBits = bigint;

export function capabilityBits(names: Iterable<Capability>): CapabilityBits {
  let bits = 0n;
  for (const name of names) bits |= 1n << BigInt(numbers[name]);
  return bits;
}

// linux/capability.h, linux/prctl.h
const VERSION_3 = 0x20080522;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;

/** struct __user_cap_header_struct: version, pid (0: the calling thread). */
const header = (): Uint32Array<ArrayBuffer> => new Uint32Array([VERSION_3, 0]);

/** The capabilities that the calling thread may use. */
export function permittedCapabilities(): CapabilityBits {
  // struct __user_cap_data_struct[2]: effective, permitted, inheritable; the low half first
  const data = new Uint32Array(new ArrayBuffer(24));
  checked("capget", libc.capget(header(), data));
  return BigInt(data[1] ?? 0) | (BigInt(data[4] ?? 0) << 32n);
}

/**
 * Reduces the calling thread's permitted and effective capabilities to those in `wanted` that it has, and empties the
 * inheritable ones.
 */
export function reduceCapabilities(wanted: CapabilityBits): void {
  const kept = permittedCapabilities() & wanted;
  const [low, high] = [Number(kept & 0xffff_ffffn), Number(kept >> 32n)];
  checked("capset", libc.capset(header(), new Uint32Array([low, low, 0, high, high, 0])));
}

/**
 * Removes every capability but those in `wanted` from the calling thread's bounding set, which limits what a program
 * that it executes can have. Needs CAP_SETPCAP: false if the thread does not have it and a capability remains.
 */
export function reduceBoundingSet(wanted: CapabilityBits): boolean {
  for (let number = 0; ; number += 1) {
    const has = libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    // The number of the first capability that this kernel does not know.
    if (has < 0) return true;
    if (has === 0 || ((wanted >> BigInt(number)) & 1n) === 1n) continue;
    if (libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) return false;
  }
}

/** From now on neither this thread nor a program that it executes gains rights by set-id bits or file capabilities. */
export function setNoNewPrivileges(): void {
  checked("prctl PR_SET_NO_NEW_PRIVS", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
