// What a process may execute, as plain data. A sensor that can prevent encodes it for the kernel. Whatever else the process or a
// child of it executes, the kernel ends before its first instruction.
import type { ProcessKey } from "../../vocabulary/process-key.ts";
import type { Payer } from "../../vocabulary/shares.ts";

/** What the kernel itself reads of a file that is executed. All of it together cannot be forged without root. */
export interface FileIdentity {
  /** `s_dev` of its super block, which need not be the st_dev of stat(2). */
  readonly device: number;
  readonly inode: bigint;
  readonly generation: number;
  /** ctime: seconds since the epoch, and nanoseconds of the second. */
  readonly changed: bigint;
  readonly changedNanoseconds: number;
  /** `s_magic` of its super block, as in linux/magic.h. */
  readonly filesystem: number;
}

/**
 * Two changes of a file within one tick of the kernel's clock (10 ms at most) leave it with one ctime before Linux 6.13, and
 * times of some file systems are whole seconds. What was changed so shortly before it was identified has no identity yet.
 */
export const SETTLED_NS = 2_000_000_000n;

const NS_PER_SECOND = 1_000_000_000n;

/** The ctime of the file in nanoseconds since 1970-01-01T00:00:00Z. */
export function changedAt({ changed, changedNanoseconds }: FileIdentity): bigint {
  return changed * NS_PER_SECOND + BigInt(changedNanoseconds);
}

/** Numbers of the sets that a process is closed by; 0: it is open. */
export interface ClosedSets {
  /** Decides what the process itself executes in its own place. */
  readonly own: number;
  /** Decides what its children execute: it is the `own` and the `child` of a child that was forked and not judged yet. */
  readonly child: number;
}

/** A file that may be executed. */
export interface ClosedSetException {
  readonly file: FileIdentity;
  /** What the process is closed by afterwards, until it is judged. */
  readonly next: ClosedSets;
}

export interface ClosedSet {
  /** Only programs that run as the user that the process had when it was judged are ended. Those of other users are allowed. */
  readonly ofUser: boolean;
  /**
   * Whether root's carriers die too: programs that run what their arguments name (interpreters of scripts, shells,
   * multi-call binaries, dynamic loaders). Otherwise user space judges them.
   */
  readonly carriersDie: boolean;
  /** When its exceptions were identified; nanoseconds since 1970-01-01T00:00:00Z. User space judges root's newer files. */
  readonly identifiedAt: bigint;
  /** 32 bits. A program counts once, for the limit on different programs, for all sets that have the same value here. */
  readonly countedAs: number;
  /** Each file was changed more than `SETTLED_NS` before it was identified. */
  readonly exceptions: readonly ClosedSetException[];
}

/** A process as it was judged. */
export interface ClosedProcess extends Pick<ProcessKey, "pid" | "startTicks"> {
  /** By which the kernel knows the program that was judged: `execId` of its last exec; undefined: not known. */
  readonly execId: number | undefined;
  /** Its effective user; undefined: not known, so that nothing dies by a set that is of its user. */
  readonly uid: number | undefined;
  /** Who is charged for what it and its children execute and the kernel ends, two at most; nobody for root's. */
  readonly payers: readonly Payer[];
}

export interface PreventionCounts {
  /** Execs that were ended, by set. */
  readonly prevented: ReadonlyMap<number, number>;
  /** Execs that the kernel could not end: user space has to. */
  readonly failed: number;
  /** Processes for which there was no room: they are open. */
  readonly full: number;
}

/** Programs that were left to user space, because too many different ones had been ended within a minute. */
export interface PreventionRefusals {
  readonly count: number;
  /** For how many of them the share of one payer was used up, by payer. For the others it was that of the host. */
  readonly ofPayers: ReadonlyMap<Payer, number>;
}

/** Closes lineages in the kernel. An exec that it ends is reported as `prevented`. */
export interface Prevention {
  /** Whether processes are still closed by what an earlier process of the sensor has assigned, until `enforceEpoch`. */
  readonly isInherited: boolean;
  /** Throws a SystemCallError, and leaves the set undefined, if the kernel has no room for it. */
  define(set: number, closed: ClosedSet): void;
  /** Removes a set that no process is closed by any more. */
  remove(set: number): void;
  /** Closes a process by sets, in the epoch of `setEpoch`, or opens it; false if the kernel has no room. */
  assign(process: ClosedProcess, sets: ClosedSets): boolean;
  /** Takes note of the exit of a process, whose entry the kernel has removed. */
  exited(pid: number): void;
  /** Entries that are made from now on, and inherited from them, belong to this epoch. */
  setEpoch(epoch: number): void;
  /**
   * Makes every entry of an earlier epoch void, and returns when no program in the kernel still acts on one: what was
   * assigned before is in force. It may take some milliseconds.
   */
  enforceEpoch(): void;
  /** Opens every process (`false`), or none (`true`), at once: no exec that begins after its return is judged otherwise. */
  setActing(acts: boolean): void;
  /** Postpones the moment from which every process is open because nobody has called this. */
  beat(): void;
  /**
   * The identities of the files that `pid`, a process of treewarden's own, has open by these descriptors (O_PATH suffices).
   * A descriptor whose identity cannot be read, or whose file system does not keep identities, is left out.
   */
  identify(pid: number, descriptors: readonly number[]): ReadonlyMap<number, FileIdentity>;
  /** Counts since the sensor was opened; those of sets that were removed are given once. */
  counts(): PreventionCounts;
  /** `refusals().count`, cheap enough for each turn of a loop. */
  readonly refused: number;
  refusals(): PreventionRefusals;
}
