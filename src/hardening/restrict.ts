// Gives up what a process does not need, in two steps: capabilities and Landlock apply to one thread, and the runtime
// has several before the first line runs. So a process first gives up its rights in the thread that executes the
// program again (`giveUp`). Once that has happened it does the rest (`restrictFurther`): the runtime has then reserved
// its memory and made what is executable.

import { readFileSync } from "node:fs";
import { raiseLockedMemory } from "../linux/bpf/locked-memory.ts";
import {
  capabilityBits,
  reduceBoundingSet,
  reduceCapabilities,
  setNoNewPrivileges,
} from "../linux/capabilities.ts";
import { type FileAccess, restrictFiles } from "../linux/landlock.ts";
import { lockProgram } from "../linux/own-memory.ts";
import { lowerLimit } from "../linux/resource-limits.ts";
import { applyFilter, systemCallFilter } from "../linux/seccomp.ts";
import { loadTimedReads } from "../linux/timed-read.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { mayOpen } from "../vocabulary/sensors.ts";
import {
  capabilitiesOf,
  type FileScope,
  fileScopeOf,
  memoryHeadroom,
  mustStartSetIdPrograms,
  type PrivilegeMode,
  type ProcessRole,
  systemCallsOf,
} from "./privileges.ts";

/** Files of the host's system that the reporter reads: libraries, certificates, name resolution, times, /proc/self. */
const systemFiles = ["/usr", "/lib", "/lib64", "/etc", "/run", "/proc", "/sys", "/dev"];
/** The program, which may be anywhere and is executed again. */
const ownProgram = "/proc/self/exe";

function accessOf(scope: FileScope, folder: string, files: readonly string[]): FileAccess | undefined {
  if (scope === "everything") return undefined;
  if (scope === "read everything") return { read: ["/"], write: [] };
  return { read: [...systemFiles, ownProgram, ...ownLibraries(), ...files], write: [folder] };
}

/** Loader and libraries of this process, which the portable archive has in a folder of its own. */
function ownLibraries(): readonly string[] {
  const lines = readFileSync("/proc/self/maps", "latin1").split("\n");
  // Address, permissions, offset, device, inode, path (proc_pid_maps(5)).
  return [
    ...new Set(lines.flatMap((line) => /^\S+ r-xp \S+ \S+ \d+ +(\/.*\.so[.\d]*)$/.exec(line)?.[1] ?? [])),
  ];
}

export interface OwnFiles {
  /** The folder that the reporter writes. */
  readonly folder: string;
  /** Files outside the system's folders that it reads: certificates and keys. */
  readonly read: readonly string[];
}

/**
 * Gives up the rights that `role` does not need, in the calling thread and so in the program that it executes next.
 * Returns what this kernel or the rights of this process did not allow; each is a sentence without a full stop.
 */
export function giveUp(role: ProcessRole, mode: PrivilegeMode, files: OwnFiles): readonly string[] {
  const problems: string[] = [];
  const attempt = (step: () => unknown, withoutIt: string): void => {
    try {
      if (step() !== false) return;
      problems.push(withoutIt);
    } catch (error) {
      problems.push(`${withoutIt} (${messageOf(error)})`);
    }
  };
  // For the warden, which inherits the limit: only the supervisor begins with the right to raise it (CAP_SYS_RESOURCE).
  if (role === "supervisor" && mayOpen(mode.source, "ebpf")) raiseLockedMemory();
  attempt(() => lowerLimit("core", 0n), "core dumps are not off");
  const mayGainRights = mustStartSetIdPrograms(role, mode);
  if (!mayGainRights) attempt(setNoNewPrivileges, "set-id bits still have an effect");
  const access = accessOf(fileScopeOf(role, mode), files.folder, files.read);
  if (access !== undefined) attempt(() => restrictFiles(access), "files are not restricted by Landlock");
  const capabilities = capabilityBits(capabilitiesOf(role, mode));
  if (!mayGainRights)
    attempt(() => reduceBoundingSet(capabilities), "the bounding set of capabilities is not reduced");
  attempt(() => reduceCapabilities(capabilities), "capabilities are not reduced");
  return problems;
}

/** Bytes of private memory that this process has or has reserved. */
function reservedMemory(): number {
  const kilobytes = /^VmData:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  if (kilobytes === undefined) throw new RangeError("no VmData in /proc/self/status");
  return Number(kilobytes) * 1024;
}

/**
 * Limits memory and refuses all system calls that `role` does not need, in all threads, for good. Returns what is not
 * possible here, as `giveUp`.
 */
export function restrictFurther(role: ProcessRole, mode: PrivilegeMode): readonly string[] {
  const problems: string[] = [];
  try {
    // Not for the supervisor: its children would inherit the limit, and the runtime reserves gigabytes at its start.
    if (role !== "supervisor") lowerLimit("data", BigInt(reservedMemory() + memoryHeadroom));
  } catch (error) {
    problems.push(`memory is not limited (${messageOf(error)})`);
  }
  if (mustStartSetIdPrograms(role, mode)) return problems;
  try {
    if (role === "warden") lockProgram();
  } catch {
    // The limit could not be raised. It is no protection that others could count on: memory that is short slows down.
  }
  try {
    // The filter refuses further libraries.
    if (role === "warden" || role === "examiner") loadTimedReads();
  } catch (error) {
    problems.push(`arguments of other users' running processes cannot be read (${messageOf(error)})`);
  }
  try {
    applyFilter(systemCallFilter(systemCallsOf(role, mode)));
  } catch (error) {
    problems.push(`system calls are not filtered (${messageOf(error)})`);
  }
  return problems;
}
