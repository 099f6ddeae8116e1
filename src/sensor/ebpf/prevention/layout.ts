// What the kernel code of prevention shares with user space: the keys and values of its maps. Each number is an offset in
// bytes, and the comment behind it is the type of the field; all fields are little-endian. Both sides are written from it.

/**
 * Key of the map of closed processes. The number of the exec is part of it, so that what was decided about a program never
 * applies to the next program of the process, however late user space writes it.
 */
export const closedKey = {
  pid: 0, // u32, the thread group
  execId: 4, // u32, task_struct.self_exec_id (its lower half) of the program that runs
  size: 8,
} as const;

/**
 * Value of the map of closed processes: which sets decide what the process and its children may execute, and for which
 * user, epoch and payers.
 */
export const closedProcess = {
  startTicks: 0, // u64, clock ticks since boot: tells a process from an earlier one with the same pid
  /** A number below `preventionPage.epoch` makes the entry void. */
  epoch: 8, // u32
  /** Numbers of sets; 0: none. See `ClosedSets`. */
  own: 12, // u32
  child: 16, // u32
  /** The effective user after the exec that sets with `setFlags.user` are meant for. */
  uid: 20, // u32
  /** Who is charged for a program that is ended: the numbers of two allowances; 0: nobody. A child has its parent's. */
  payers: 24, // 2 u16
  unused: 28,
  size: 32,
} as const;

/** Value of the map of sets; the key is the number of the set, a u32. */
export const closedSetLayout = {
  prevented: 0, // u64, how many execs were ended by this set
  identifiedAt: 8, // s64, seconds since the epoch
  identifiedAtNanoseconds: 16, // u32
  flags: 20, // u32, see `setFlags`
  /**
   * Stands for the set in the keys of the map `ended`. A set that a change of the policy has replaced by an equal one keeps
   * it, so that programs that were ended before the change are not charged again.
   */
  countedAs: 24, // u32
  unused: 28,
  size: 32,
} as const;

export const setFlags = { user: 1, carriersDie: 2 } as const;

/** Key of the map of exceptions: a set, and a file. */
export const exceptionKey = {
  set: 0, // u32
  device: 4, // u32, the kernel's own encoding: 12 bits major, 20 bits minor
  inode: 8, // u64
  changed: 16, // s64, ctime
  changedNanoseconds: 24, // u32, without I_CTIME_QUERIED
  generation: 28, // u32
  filesystem: 32, // u64, s_magic
  size: 40,
} as const;

export const exceptionValue = {
  own: 0, // u32
  child: 4, // u32
  size: 8,
} as const;

/**
 * Value of the array of allowances. Element 0 is the host's, the others are of users and containers. Each different file that
 * a set ends costs an interval of time, and an allowance is used up when more than a minute of them is owed.
 */
export const allowanceLayout = {
  /** ns of CLOCK_MONOTONIC: when nothing is owed any more. */
  owedUntil: 0, // u64
  /** How many execs were left to user space because this allowance was used up. */
  refused: 8, // u64
  size: 16,
} as const;

/** Key of the trie of carriers' names: struct bpf_lpm_trie_key (linux/bpf.h). */
export const carrierKey = {
  prefixLength: 0, // u32, in bits
  name: 4, // cut off after 31 bytes, and terminated by a NUL
  size: 36,
} as const;
export const CARRIER_NAME_BYTES = carrierKey.size - carrierKey.name;

/** In place of a user: (uid_t)-1, which no process has (include/linux/uidgid.h). */
export const NO_USER = 0xffff_ffff;

/** The page of settings and counters, which the programs and user space share. */
export const preventionPage = {
  /** 1: what a set does not allow dies. 0: entries are kept, and every exec is left to user space. */
  acting: 0, // u32
  epoch: 4, // u32
  /** When the warden last said that it lives; ns of CLOCK_MONOTONIC. */
  beat: 8, // u64
  /** ns after `beat` from which every exec is left to user space; 0: never. */
  limit: 16, // u64
  /** Execs that could not be ended. */
  failed: 24, // u64
  /** Processes for which there was no room. */
  full: 32, // u64
  /** Entries that the programs have made, less those that they have removed. Negative if they removed more than they made. */
  used: 40, // s64
  /** Entries that user space has made, less those that it has removed; may be negative, likewise. */
  usedByUser: 48, // s64
  /** With more entries than this, processes of users other than root get none. */
  share: 56, // s64
  /** Inode of the host's mount namespace. */
  hostMounts: 64, // u32
  /** The process whose files the iterator lists. */
  listed: 68, // u32
  /** The highest epoch and number of a set so far: a process that goes on with the maps begins above them. */
  lastEpoch: 72, // u32
  lastSet: 76, // u32
  /** What a different file costs the host, and each user or container; ns, see `allowanceLayout`. */
  interval: 80, // u64
  intervalOfPayer: 88, // u64
  /** How many execs were left to user space because too many different files were ended. */
  refused: 96, // u64
  /** The user whose sessions are never closed; `NO_USER`: nobody's. */
  rescueUser: 104, // u32
  size: 112,
} as const;

/** What the iterator over the files of a process writes for each. */
export const listedFile = {
  descriptor: 0, // u32
  /** 1 if its file system belongs to the host's user namespace, else 0. */
  hosts: 4, // u32
  file: 8, // as `exceptionKey`, with any set
  size: 8 + exceptionKey.size,
} as const;

/** What the iterator over processes writes for each. */
export const listedProcess = {
  pid: 0, // u32
  execId: 4, // u32
  start: 8, // u64, ns of CLOCK_BOOTTIME
  mounts: 16, // u32, inode of its mount namespace; 0: it has ended
  unused: 20,
  size: 24,
} as const;
