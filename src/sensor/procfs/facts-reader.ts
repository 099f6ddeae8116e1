// What /proc shows of a process, read at once. A process that ends while it is read is no error: what was read stays,
// the rest is undefined.
//
// Two things that could be read are not. The path given to execve(2) lies in the process's memory, where a hostile
// process can map a page whose reading never ends (FUSE, userfaultfd); the kernel reads `cmdline` with care for that
// (FOLL_ANON, Linux 4.17). And reading `environ`, `auxv` or `maps` takes the lock that execve(2) holds, so it can block for
// as long as an execve(2) takes; by then the program may also have written over its environment, so that what stands there
// would excuse the very program that a rule on it is about.
//
// Of the files that are read, only `cmdline` waits for a lock that a process's user can hold for ever, see LimitedReads. (So do
// `environ`, `maps`, `smaps`, `numa_maps`, `map_files` and `mem`.) `stat` and, since Linux 6.18, the links, such as `exe`, wait
// for another one, which execve(2) holds: of a process that may be within it, `stat` is read with a time limit, and the links
// are followed only after that.
import { readFileSync } from "node:fs";
import { realtimeNow } from "../../linux/clock.ts";
import { AUDIT_UNSET, PROC_USER_INIT_INO } from "../../linux/kernel-constants.ts";
import { EBUSY, ETIMEDOUT } from "../../linux/libc.ts";
import { parseCgroup } from "../../linux/proc/cgroup.ts";
import { parseArguments } from "../../linux/proc/cmdline.ts";
import { readDecimals } from "../../linux/proc/decimal.ts";
import { type ProcEntry, ProcessFolder, procEntry } from "../../linux/proc/read.ts";
import { PF_KTHREAD, type ProcStat, parseStat } from "../../linux/proc/stat.ts";
import { hasNoProgramYet } from "../../linux/proc/statm.ts";
import { mayBeInExec, parseStatus } from "../../linux/proc/status.ts";
import {
  commonDrivers,
  parseTerminalDrivers,
  type TerminalDriver,
  terminalName,
} from "../../linux/proc/terminal.ts";
import { ROOT_UID } from "../../linux/root-file.ts";
import { decodeText } from "../../linux/text.ts";
import { type ProcessFacts, unknownFacts } from "../event.ts";
import { StringCache } from "../string-cache.ts";
import { isTrustedFile } from "../trusted-file.ts";
import { chargedUser, HANGING, LimitedReads, type Occasion } from "./limited-reads.ts";

export interface FactsOptions {
  /** Bytes of arguments that are kept; more are cut and marked. */
  readonly argumentBytes?: number;
  /** Where proc(5) is mounted. */
  readonly root?: string;
  /** The arguments or links of a process could not be read because it, or another one of its user, made the reading hang. */
  readonly onUnreadable?: (pid: number, realUid: number | undefined) => void;
}

/** What events have reported of a process before it is read. */
export interface KnownFacts {
  readonly startTicks: number | undefined;
  /** Clock ticks since boot at which it already ran: a process that started later is another one with its pid. */
  readonly seenTicks: number | undefined;
  readonly parentPid: number | undefined;
  /** Its users at the event; /proc shows those of a moment later. */
  readonly uid: number | undefined;
  readonly realUid: number | undefined;
}

/** For a process that no event has reported. */
export const nothingKnown: KnownFacts = {
  startTicks: undefined,
  seenTicks: undefined,
  parentPid: undefined,
  uid: undefined,
  realUid: undefined,
};

const DEFAULT_ARGUMENT_BYTES = 4096;
/** Room for the longest link (PATH_MAX) and for `status` and `cgroup`, which are always shorter. */
const LEAST_BUFFER = 16 * 1024;
/** More than /proc/PID/stat ever has: a name and 50 numbers. */
const STAT_BYTES = 1_200;
/** A host has as many audit sessions as people logged in; beyond this all are forgotten and read again. */
const SESSIONS_REMEMBERED = 1024;
const DELETED = " (deleted)";
const MEMFD = "/memfd:";
const OPENING_BRACKET = 0x5b;

const number = new Float64Array(1);

export class FactsReader implements Disposable {
  /** `stat` of the process read last; undefined if it could not be read. */
  stat: ProcStat | undefined;

  private readonly folder: ProcessFolder;
  private readonly paths = new StringCache(256, decodeText);
  private readonly argumentBytes: number;
  private readonly argumentReads: LimitedReads;
  /** Of `stat`, of processes that may be within execve(2). */
  private readonly statReads: LimitedReads;
  /** The process whose `stat` was read last keeps its readers waiting. */
  private isLocked = false;
  /** The length of `status` in the folder's buffer, if `keepsWaiting` has read that last; else negative. */
  private statusLength = -1;
  private readonly onUnreadable: FactsOptions["onUnreadable"];
  private readonly terminals: readonly TerminalDriver[];
  /** The mount namespace of pid 1: the host's. */
  private readonly hostMounts: number | undefined;
  /** The mount namespace of this process, and whether it is a user's. */
  private readonly ownMounts: number | undefined;
  private readonly ownAreUsers: boolean | undefined;
  /**
   * Login users by session. Invalidated by: nothing, the kernel gives a session its number when its login user is set,
   * and changes neither (kernel/auditsc.c).
   */
  private readonly loginUsers = new Map<number, number>();
  /** The real user of the process that is open: from events, or else from /proc, read before its arguments. */
  private realUidBefore: number | undefined;
  private isRealUidTold = false;

  constructor(options: FactsOptions = {}) {
    this.argumentBytes = options.argumentBytes ?? DEFAULT_ARGUMENT_BYTES;
    const root = options.root ?? "/proc";
    this.folder = new ProcessFolder(Math.max(this.argumentBytes + 1, LEAST_BUFFER), root);
    this.argumentReads = new LimitedReads(this.argumentBytes + 1, () => this.payer());
    this.statReads = new LimitedReads(STAT_BYTES, () => chargedUser(this.realUid(), true), HANGING.stat);
    this.onUnreadable = options.onUnreadable;
    this.terminals = terminalDrivers(root);
    if (this.folder.open(1) === 0) this.hostMounts = this.namespace(procEntry.mountNamespace);
    if (this.folder.open(process.pid) === 0) {
      const own = this.namespace(procEntry.mountNamespace);
      this.ownAreUsers = this.areUserMounts(own);
      this.ownMounts = own;
    }
    this.folder.close();
  }

  /**
   * Everything that can be read of `pid` now. If the process turns out to be a later one with the same pid, only what
   * was `known`, by an event, is given. `isCurrent`: the pid cannot have been reused since the event, so that facts are kept also of
   * a process that ends before it could be asked when it started.
   */
  read(pid: number, known?: KnownFacts, isCurrent = false): ProcessFacts {
    this.stat = undefined;
    if (this.folder.open(pid) < 0) return factsFromEvents(known ?? nothingKnown);
    const occasion = known === undefined ? "scan" : "exec";
    const facts = this.readOpen(pid, known ?? nothingKnown, isCurrent, occasion);
    this.folder.close();
    return facts;
  }

  /**
   * Live threads of the group of `pid`, without a leader that has ended; 0 if the group is gone, or started after
   * `seenTicks` and is another.
   */
  threads(pid: number, seenTicks = Number.POSITIVE_INFINITY): number {
    if (this.folder.open(pid) < 0) return 0;
    const stat = this.readStat();
    this.folder.close();
    // Within execve(2) it has one thread left.
    if (this.isLocked) return 1;
    if (stat === undefined || stat.startTicks > seenTicks) return 0;
    return stat.state === "Z" || stat.state === "X" ? stat.threads - 1 : stat.threads;
  }

  /** Start ticks of the process that has `pid` now; undefined if there is none, or if it stays within execve(2). */
  startTicks(pid: number): number | undefined {
    if (this.folder.open(pid) < 0) return undefined;
    const stat = this.readStat();
    this.folder.close();
    return stat?.startTicks;
  }

  /**
   * Whether the links of `pid` (`exe`, `root`, `fd/3`, `ns/mnt`) can be followed, and its `environ` and `maps` be opened,
   * without waiting; false if there is no such process. To be asked right before: it may begin another execve(2) at any time.
   */
  mayFollowLinks(pid: number): boolean {
    if (this.folder.open(pid) < 0) return false;
    const stat = this.readStat();
    this.folder.close();
    return stat !== undefined;
  }

  /** How the process that has `pid` now was started, a fifth of what `read` reads; all undefined if there is none. */
  invocation(pid: number): Pick<ProcessFacts, "startTicks" | "args" | "tty" | "loginUid"> {
    if (this.folder.open(pid) < 0) return unknownFacts;
    const stat = this.readStat();
    if (this.isLocked) {
      this.folder.close();
      return unknownFacts;
    }
    this.beginArguments(undefined, "exec");
    const session = this.number(procEntry.sessionid);
    const loginUid = session === undefined ? undefined : this.loginUser(session);
    const { args } = this.endArguments(pid);
    this.folder.close();
    const tty = stat === undefined ? undefined : terminalName(stat.ttyNumber, this.terminals);
    return { startTicks: stat?.startTicks, args, tty, loginUid };
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }

  /** What is gone first when a program ends is read first: what it runs, whose it is, where it belongs. */
  private readOpen(pid: number, known: KnownFacts, isCurrent: boolean, occasion: Occasion): ProcessFacts {
    const { folder } = this;
    if (this.keepsWaiting(occasion)) {
      const realUid = known.realUid ?? this.realUid();
      this.onUnreadable?.(pid, realUid);
      return factsFromEvents({ ...known, realUid });
    }
    const shown = known.realUid === undefined ? this.realUidIn(this.statusLength) : undefined;
    this.beginArguments(known.realUid, occasion, shown);
    const link = this.link(procEntry.exe);
    const ended = link === undefined ? this.endArguments(pid) : undefined;
    // It has ended, and perhaps nobody has waited for it yet: the rest would show no more than events have reported.
    if (ended !== undefined && !ended.args?.length && known.startTicks !== undefined)
      return factsFromEvents(known);
    // A path beyond PATH_MAX cannot be read as a link, but its file can be looked at.
    const file = folder.look(procEntry.exe) === 0 ? fileOf(folder) : undefined;
    const owner = folder.look(procEntry.self) === 0 ? { uid: folder.uid, gid: folder.gid } : undefined;
    const mountNamespace = this.namespace(procEntry.mountNamespace);
    const userMounts = this.areUserMounts(mountNamespace);
    const stat = this.parsedStat();
    this.stat = stat;
    const session = this.number(procEntry.sessionid);
    const loginUid = session === undefined ? undefined : this.loginUser(session);
    const cgroup = this.cgroup();
    const cwd = this.link(procEntry.cwd);
    const { args, isTruncated } = ended ?? this.endArguments(pid);
    if (!(stat === undefined ? isCurrent : isSameProcess(stat, known))) return factsFromEvents(known);
    const isKernelThread = stat !== undefined && (stat.flags & PF_KTHREAD) !== 0;
    return {
      ...unknownFacts,
      startTicks: stat?.startTicks ?? known.startTicks,
      parentPid: stat?.parentPid ?? known.parentPid,
      ...executableOf(link),
      ...file,
      // A process that has ended, or is about to, has no arguments any more: that is not the same as none.
      args:
        args !== undefined && (args.length > 0 || file !== undefined || isKernelThread) ? args : undefined,
      argsTruncated: isTruncated,
      uid: known.uid ?? owner?.uid,
      realUid: this.realUidBefore,
      gid: owner?.gid,
      mountNamespace,
      userMounts,
      tty: stat === undefined ? undefined : terminalName(stat.ttyNumber, this.terminals),
      cgroup,
      sessionId: session === AUDIT_UNSET ? undefined : session,
      loginUid,
      cwd,
    };
  }

  /**
   * Begins to read the arguments of the open process, which another thread does while this one reads the rest.
   * `toldRealUid`: its real user, if events have reported it. `shown`: what `status` has just shown, if it was read.
   */
  private beginArguments(toldRealUid: number | undefined, occasion: Occasion, shown?: number): void {
    this.isRealUidTold = toldRealUid !== undefined;
    // Before the read: the process may end while it hangs, if another one has the same memory (CLONE_VM of clone(2)).
    this.realUidBefore = toldRealUid ?? shown ?? this.realUid();
    this.argumentReads.begin(this.folder.openEntry(procEntry.cmdline), this.argumentBytes + 1, occasion);
  }

  /** The arguments of the open process; undefined if they cannot be read. */
  private endArguments(pid: number): {
    readonly args: readonly string[] | undefined;
    readonly isTruncated: boolean;
  } {
    const length = this.argumentReads.end();
    if (length === -ETIMEDOUT || length === -EBUSY) this.onUnreadable?.(pid, this.realUidNow());
    if (length < 0) return { args: undefined, isTruncated: false };
    const args = parseArguments(this.argumentReads.data, Math.min(length, this.argumentBytes));
    return { args, isTruncated: length > this.argumentBytes };
  }

  /** Who is charged for the time that the arguments of the open process take. */
  private payer(): number {
    const realUid = this.realUidNow();
    return chargedUser(realUid, realUid === ROOT_UID && !this.isLocked && this.isOnHost());
  }

  /** Of one that has ended, what events told is not believed of root: who was root at its exec may have become a user. */
  private realUidNow(): number | undefined {
    const before = this.realUidBefore;
    if (!this.isRealUidTold) return before;
    return this.realUid() ?? (before === ROOT_UID ? undefined : before);
  }

  /** Whether the open process is in the host's user namespace and in no container. */
  private isOnHost(): boolean {
    const isHosts = this.namespace(procEntry.userNamespace) === PROC_USER_INIT_INO;
    return isHosts && this.areHostsMounts(this.namespace(procEntry.mountNamespace));
  }

  /** `stat` of the open process; undefined if it has ended, and if it keeps its readers waiting: then it `isLocked`. */
  private readStat(): ProcStat | undefined {
    return this.keepsWaiting("scan") ? undefined : this.parsedStat();
  }

  private parsedStat(): ProcStat | undefined {
    const length = this.folder.read(procEntry.stat);
    if (length < 0) return undefined;
    const stat = parseStat(this.folder.data, length);
    return "failure" in stat ? undefined : stat;
  }

  /**
   * Whether the open process is within execve(2) and stays there for longer than can be waited. At an exec, where programs end
   * that take too long to read, only that is looked for which a process can bring about at once after another execve(2).
   */
  private keepsWaiting(occasion: Occasion): boolean {
    const { folder, statReads } = this;
    const [entry, mayBe] =
      occasion === "exec"
        ? ([procEntry.statm, hasNoProgramYet] as const)
        : ([procEntry.status, mayBeInExec] as const);
    const length = folder.read(entry);
    this.isLocked = false;
    this.statusLength = -1;
    if (length < 0) return false;
    if (!mayBe(folder.data, length)) {
      if (entry === procEntry.status) this.statusLength = length;
      return false;
    }
    statReads.begin(folder.openEntry(procEntry.stat), STAT_BYTES, occasion);
    const result = statReads.end();
    this.isLocked = result === -ETIMEDOUT || result === -EBUSY;
    return this.isLocked;
  }

  private realUid(): number | undefined {
    return this.realUidIn(this.folder.read(procEntry.status));
  }

  /** The real user in the `status` of this length, which was read last; undefined if it is negative. */
  private realUidIn(length: number): number | undefined {
    if (length < 0) return undefined;
    const status = parseStatus(this.folder.data, length);
    return "failure" in status ? undefined : status.realUid;
  }

  private cgroup(): string | undefined {
    const length = this.folder.read(procEntry.cgroup);
    return length < 0 ? undefined : parseCgroup(this.folder.data, length);
  }

  private link(file: ProcEntry): string | undefined {
    const length = this.folder.link(file);
    return length < 0 ? undefined : this.paths.text(this.folder.data, 0, length);
  }

  private number(file: ProcEntry): number | undefined {
    const length = this.folder.read(file);
    return length > 0 && readDecimals(this.folder.data, 0, length, number) === 1 ? number[0] : undefined;
  }

  /** The inode of a namespace, from the link's text (`mnt:[4026531841]`): a third of the cost of statx(2). */
  private namespace(file: ProcEntry): number | undefined {
    const length = this.folder.link(file);
    const start = length < 0 ? -1 : this.folder.data.indexOf(OPENING_BRACKET) + 1;
    return start > 0 && readDecimals(this.folder.data, start, length, number) === 1 ? number[0] : undefined;
  }

  /** Those of pid 1, or of this process: not those of a container. */
  private areHostsMounts(mounts: number | undefined): boolean {
    if (mounts === undefined) return false;
    return mounts === this.hostMounts || (mounts === this.ownMounts && this.ownAreUsers === false);
  }

  /** Nothing is remembered of another process's namespace: its number may soon be that of another namespace. */
  private areUserMounts(mounts: number | undefined): boolean | undefined {
    if (mounts === undefined) return undefined;
    if (mounts === this.hostMounts) return false;
    if (mounts === this.ownMounts) return this.ownAreUsers;
    // Services with mounts of their own: only root can be in the host's user namespace and among a user's mounts.
    if (this.namespace(procEntry.userNamespace) === PROC_USER_INIT_INO) return false;
    const owner = this.folder.ownerOf(procEntry.mountNamespace);
    return owner < 0 ? undefined : owner !== PROC_USER_INIT_INO;
  }

  private loginUser(session: number): number | null | undefined {
    if (session === AUDIT_UNSET) return null;
    const remembered = this.loginUsers.get(session);
    if (remembered !== undefined) return remembered;
    const user = this.number(procEntry.loginuid);
    if (user === undefined) return undefined;
    if (user === AUDIT_UNSET) return null;
    if (this.loginUsers.size >= SESSIONS_REMEMBERED) this.loginUsers.clear();
    this.loginUsers.set(session, user);
    return user;
  }
}

/** Whether the process that has this pid now is the one that events have reported, not a later one. */
function isSameProcess({ startTicks }: ProcStat, { seenTicks }: KnownFacts): boolean {
  return !(startTicks > (seenTicks ?? startTicks));
}

/** The facts of a process of which nothing more could be read. */
export function factsFromEvents({ startTicks, parentPid, uid, realUid }: KnownFacts): ProcessFacts {
  return { ...unknownFacts, startTicks, parentPid, uid, realUid };
}

/** What the link of /proc/PID/exe says: a removed file's ends in " (deleted)", and so does a memfd's. */
function executableOf(link: string | undefined): Partial<ProcessFacts> {
  if (link === undefined) return {};
  const isDeleted = link.endsWith(DELETED);
  const isMemfd = isDeleted && link.startsWith(MEMFD);
  return {
    executable: isDeleted ? link.slice(isMemfd ? 1 : 0, -DELETED.length) : link,
    // A memfd never had a name in a file system that could have been removed.
    executableDeleted: isDeleted && !isMemfd,
    executableMemfd: isMemfd,
  };
}

/** Of the executable's file, which was looked at last. */
function fileOf(folder: ProcessFolder): Partial<ProcessFacts> {
  return {
    executableSetuid: (folder.mode & 0o6000) !== 0,
    executableTrusted: isTrustedFile(folder.uid, folder.mode),
    executableAge: Math.max(0, (realtimeNow() - folder.ctime) / 1e9),
    device: folder.device,
    inode: folder.inode,
  };
}

function terminalDrivers(root: string): readonly TerminalDriver[] {
  try {
    const drivers = parseTerminalDrivers(readFileSync(`${root}/tty/drivers`, "latin1"));
    return drivers.length > 0 ? drivers : commonDrivers;
  } catch {
    return commonDrivers;
  }
}
