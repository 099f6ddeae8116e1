// Layout of the records that the programs write and decode.ts reads. All numbers little-endian.
import { PATH_MAX } from "../../linux/kernel-constants.ts";
import { type SensorKind, sensorKinds } from "../../vocabulary/event-kinds.ts";

import type { WakeupPolicy } from "../event.ts";

/** The number of each kind in a record; null for kinds of which the programs write no record. */
export const recordKinds = {
  fork: 1,
  exec: 2,
  exit: 3,
  // The decoder derives it from the users in fork records.
  user: null,
  connect: 4,
  send: 5,
  listen: 6,
  close: 7,
  // Counted in the shared page.
  loss: null,
} as const satisfies Readonly<Record<SensorKind, number | null>>;

/** The number of the record of a signal to a process of treewarden's own, which is no event of the host's. */
export const SIGNAL_RECORD = 8;

/** The kinds of which the programs write records. */
export type RecordKind = {
  [K in SensorKind]: (typeof recordKinds)[K] extends number ? K : never;
}[SensorKind];
export const recordedKinds: readonly RecordKind[] = sensorKinds.filter(
  (kind): kind is RecordKind => recordKinds[kind] !== null,
);

/** The fields at the beginning of every record. */
export const commonLayout = {
  kind: 0, // u32
  pid: 4, // u32, the thread group
  time: 8, // u64, ns of CLOCK_MONOTONIC
} as const;

export const forkLayout = {
  parentPid: 16, // u32
  uid: 20, // u32, effective, the child's and so the parent's at this moment
  realUid: 24, // u32
  execId: 28, // u32, task_struct.self_exec_id, which the child has from its parent
  start: 32, // u64, ns of CLOCK_BOOTTIME
  size: 40,
} as const;

export const exitLayout = {
  status: 16, // u32
  size: 24,
} as const;

/** `commonLayout.pid` is the process that got the signal. */
export const signalLayout = {
  senderPid: 16, // u32, the thread group that ran when the signal was made
  senderUid: 20, // u32, real
  signal: 24, // u32
  code: 28, // s32, si_code; SI_KERNEL too where the kernel gives no siginfo
  size: 32,
} as const;

/** Processes of treewarden's own whose signals are reported: supervisor, standby, warden, reporter, examiner, successor. */
export const WATCHED_PIDS = 8;
/** In place of a pid: no process, not even the idle one, has this number. */
export const NO_PID = 0xffff_ffff;

/** Followed by the texts, each beginning where the one before ends; `ends` are offsets from the record's start. */
export const execLayout = {
  start: 16, // u64, ns of CLOCK_BOOTTIME
  parentPid: 24, // u32
  flags: 28, // u32, see `flags`
  realUid: 32, // u32
  uid: 36, // u32, effective
  gid: 40, // u32, effective
  loginUid: 44, // u32, all ones: never set
  sessionId: 48, // u32, all ones: never set
  mode: 52, // u32, the executable's st_mode
  device: 56, // u32, the kernel's own encoding: 12 bits major, 20 bits minor
  mountNamespace: 60, // u32
  pidNamespace: 64, // u32
  changedNanoseconds: 68, // u32
  inode: 72, // u64
  changed: 80, // s64, the executable's ctime
  settleKey: 88, // u64 below 2^52, see wakeup.ts; 0 if nothing can be settled
  filenameEnd: 96, // u32, one NUL-terminated string
  argsEnd: 100, // u32, as they lie on the new stack
  ttyEnd: 104, // u32, one NUL-terminated string
  cgroupEnd: 108, // u32, elements leaf to root, each NUL-terminated
  executableEnd: 112, // u32, elements leaf to root, each NUL-terminated
  cwdEnd: 116, // u32, elements leaf to root, each NUL-terminated
  environmentEnd: 120, // u32, as it lies on the new stack; 0 if it was not read
  owner: 124, // u32, the executable's st_uid, in the host's user namespace
  execId: 128, // u64, task_struct.self_exec_id (its lower half), which rises at each exec
  texts: 136,
} as const;

export const recordFlags = {
  /** The kernel was given a script, or a file of binfmt_misc. */
  script: 1,
  argsUnreadable: 2,
  argsTruncated: 4,
  /** The executable's file has been removed from its directory. */
  deleted: 8,
  /** The executable lies in no directory: a memfd. */
  nameless: 16,
  /** The path has more elements than a walk reads. */
  executableCut: 32,
  cwdCut: 64,
  cgroupCut: 128,
  /** The mount namespace of the process, or of the executable's mount, is not of the host's user namespace. */
  userMounts: 256,
  /** The environment was asked for, and was too large or could not be read. */
  environmentUnread: 512,
  /** The kernel has ended the process before the program's first instruction. */
  prevented: 1024,
  /** It should have, and could not. */
  preventionFailed: 2048,
} as const;

/** Maximum bytes of an environment. Copying them takes some 0.2 us; one helper call for each of 64 variables takes 6 us. */
export const ENVIRONMENT_BYTES = 8192;
/** Of an environment with more variables than this the record has all. 8 KiB are of 130 variables where they are long. */
export const MOST_VARIABLES = 256;

/** NAME_MAX and a NUL. */
export const ELEMENT_MAX = 256;
/** sizeof tty_struct.name */
export const TTY_MAX = 64;

/** Maximum size of a record with at most `argsBytes` of arguments, without the environment that may follow. */
export function recordLimit(argsBytes: number): number {
  return execLayout.texts + PATH_MAX + TTY_MAX + PATH_MAX + argsBytes + 2 * PATH_MAX + ELEMENT_MAX;
}

/**
 * Where the environment is copied to, behind a record of at most `limit` bytes and the variables that follow it; offsets
 * from the record's start. The sum of the variables is at most ENVIRONMENT_BYTES, but the verifier only knows that of each.
 */
export function environmentLayout(limit: number): {
  /** Largest end of a record to which another variable may be appended. */
  readonly end: number;
  readonly strings: number;
  readonly pointers: number;
  readonly size: number;
} {
  const end = limit + ENVIRONMENT_BYTES;
  const strings = roundUp(end + ENVIRONMENT_BYTES);
  // A word that begins at the end of the strings is read as well.
  const pointers = strings + ENVIRONMENT_BYTES + 8;
  // And a pointer behind the last.
  return { end, strings, pointers, size: pointers + 8 * (MOST_VARIABLES + 1) };
}

/** Rounds up to whole words of 8 bytes. */
export function roundUp(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** Size of the area before the walk's state in the scratch value, for kernel fields that are read; see fields.ts. */
export const FIELD_BYTES = 1536;

/** State of the walk over directories, before the record, which persists from program to program; u64 each. */
export const walkState = {
  /** Which path is being walked; see `walkPhases`. */
  phase: 0,
  dentry: 8,
  /** struct mount, not the struct vfsmount within. */
  mount: 16,
  /** Current end of the record. */
  end: 24,
  cwdDentry: 32,
  cwdMount: 40,
  size: 48,
} as const;

export const walkPhases = { executable: 0, cwd: 1 } as const;

/** A value of the map of lineages, see wakeup.ts. The key is the thread group, as a u64. */
export const lineageLayout = {
  hash: 0, // u64
  start: 8, // u64, ns of CLOCK_BOOTTIME, by which a reused pid is told from the process before
  uid: 16, // u64, the effective user at the exec or, before it, at the fork
  size: 24,
} as const;

/** A key of the map of what the first copies of the programs have acted on, see code.ts. */
export const markLayout = {
  pid: 0, // u32, the thread group
  kind: 4, // u32, of `recordKinds`
  size: 8,
} as const;

/** Values of `sharedLayout.wakeupPolicy`. */
export const wakeupPolicies = { none: 0, all: 1, unsettled: 2 } as const satisfies Record<
  WakeupPolicy,
  number
>;

/** Layout of the page that the programs share with user space. */
export const sharedLayout = {
  lostForks: 0, // u64
  lostExecs: 8,
  lostExits: 16,
  /** See `wakeupPolicies`. */
  wakeupPolicy: 24, // u32
  /** Part of every settle key, so that keys settled in another epoch do not match. */
  epoch: 28, // u32, the lower half of the number
  /** 1: the environment is read at each exec. */
  environment: 32, // u32
  /** Signals to watched processes of which there is no record. */
  lostSignals: 40, // u64
  /** Thread groups whose signals are recorded, `NO_PID` in places that are free. */
  watched: 48, // u32, WATCHED_PIDS times
  // What the reader leaves for the one after it, see read-position.ts. The programs do not use it.
  /** Position of the record that was begun last, and of the end of the last one that was handled. */
  begun: 48 + 4 * WATCHED_PIDS, // f64
  handled: 56 + 4 * WATCHED_PIDS,
  retried: 64 + 4 * WATCHED_PIDS,
  /** A random number that distinguishes marks of this ring from those of another. */
  identity: 72 + 4 * WATCHED_PIDS,
  /** Lost records and skipped runs that were reported. */
  lostReported: 80 + 4 * WATCHED_PIDS, // u32
  missedReported: 84 + 4 * WATCHED_PIDS,
  /** Signals that were made, and how many of them had been when the reader began to empty the ring last. */
  signalsMade: 88 + 4 * WATCHED_PIDS, // u64
  signalsRead: 96 + 4 * WATCHED_PIDS, // u32
  size: 104 + 4 * WATCHED_PIDS,
} as const;

/**
 * Records of signals that may wait in the ring: 40 KiB. Who may signal one of the processes, as from its session, may do so
 * without end, and must not displace the execs of others.
 */
export const WAITING_SIGNALS = 1_024;
/** Bytes of the ring that are left to signals, and to the end of the longest exec: a flood of execs displaces none. */
export const SIGNALS_ROOM = 80 << 10;
