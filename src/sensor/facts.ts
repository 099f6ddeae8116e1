// What /proc tells of a process, read at once. A process that vanishes while it is read is no error and changes
// nothing: what was read stays, what was not is undefined.
//
// Two things that could be read are not. The path given to execve(2) lies in the process's memory, where a hostile
// process can put a page whose reading never ends (FUSE, userfaultfd); `cmdline` is read by the kernel with care for
// that (FOLL_ANON, Linux 4.17). And whatever takes the lock that execve(2) holds (environ, auxv, maps) can hang as long
// as an execve does.
import { readFileSync } from "node:fs";
import { realtimeNow } from "../linux/clock.ts";
import { parseCgroup } from "../linux/proc/cgroup.ts";
import { parseArguments } from "../linux/proc/cmdline.ts";
import { readDecimals } from "../linux/proc/decimal.ts";
import { type Entry, entry, ProcessFolder } from "../linux/proc/read.ts";
import { PF_KTHREAD, type ProcStat, parseStat } from "../linux/proc/stat.ts";
import { type ProcStatus, parseStatus } from "../linux/proc/status.ts";
import {
  commonDrivers,
  parseTerminalDrivers,
  type TerminalDriver,
  terminalName,
} from "../linux/proc/terminal.ts";
import { decodeText } from "../linux/text.ts";
import { nothingKnown, type ProcessFacts } from "./event.ts";

export interface FactsOptions {
  /** Bytes of arguments that are kept; more are cut and marked. */
  readonly argumentBytes?: number;
  /** Also read the inodes of the mount and pid namespaces: two more links. */
  readonly namespaces?: boolean;
  /** Where proc(5) is mounted. */
  readonly root?: string;
}

/** What the caller already knows of the process, from events. */
export interface Known {
  readonly startTicks: number | undefined;
  /** Clock ticks since boot at which it already ran: a process that started later is another one with its pid. */
  readonly seenTicks: number | undefined;
  readonly parentPid: number | undefined;
  /** Its users at the event that asks; they outrank what /proc says a moment later. */
  readonly uid: number | undefined;
  readonly realUid: number | undefined;
}

/** Of a process that no event told of. */
export const nothing: Known = {
  startTicks: undefined,
  seenTicks: undefined,
  parentPid: undefined,
  uid: undefined,
  realUid: undefined,
};

const DEFAULT_ARGUMENT_BYTES = 4096;
/** Room for the longest link (PATH_MAX) and for `status` and `cgroup`, which no process makes longer. */
const LEAST_BUFFER = 16 * 1024;
/** include/linux/audit.h: (uid_t) -1, no login user, and no session. */
const AUDIT_UNSET = 0xffff_ffff;
/** A host has as many audit sessions as people logged in; those that ended are forgotten with the rest. */
const SESSIONS_REMEMBERED = 1024;
/** linux/proc_ns.h: PROC_USER_INIT_INO, the inode of the host's user namespace. */
const INIT_USER_NAMESPACE = 0xefff_fffd;
const DELETED = " (deleted)";
const MEMFD = "/memfd:";

const number = new Float64Array(1);

export class FactsReader implements Disposable {
  /** `stat` of the process read last; undefined if it could not be read. */
  stat: ProcStat | undefined;

  private readonly folder: ProcessFolder;
  private readonly argumentBytes: number;
  private readonly namespaces: boolean;
  /** The mount namespace of pid 1: the host's. */
  private readonly hostMounts: number | undefined;
  private readonly terminals: readonly TerminalDriver[];
  // The kernel gives a session its number when its login user is set, and never changes it (kernel/auditsc.c).
  private readonly loginUsers = new Map<number, number>();

  constructor(options: FactsOptions = {}) {
    this.argumentBytes = options.argumentBytes ?? DEFAULT_ARGUMENT_BYTES;
    this.namespaces = options.namespaces ?? false;
    const root = options.root ?? "/proc";
    this.folder = new ProcessFolder(Math.max(this.argumentBytes + 1, LEAST_BUFFER), root);
    this.terminals = terminalDrivers(root);
    if (this.folder.open(1) === 0) this.hostMounts = this.namespace(entry.mountNamespace);
    this.folder.close();
  }

  /**
   * Everything that can be read of `pid` now. What is gone first is read first. If the process turns out to be a
   * later one that got the same pid, nothing of it is given, only what was `known`.
   */
  read(pid: number, known: Known = nothing): ProcessFacts {
    this.stat = undefined;
    if (this.folder.open(pid) < 0) return factsOf(known);
    const facts = this.readOpen(known);
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
    if (stat === undefined || stat.startTicks > seenTicks) return 0;
    return stat.state === "Z" || stat.state === "X" ? stat.threads - 1 : stat.threads;
  }

  /** Start ticks of the process that has `pid` now, and nothing else of it; undefined if there is none. */
  startTicks(pid: number): number | undefined {
    if (this.folder.open(pid) < 0) return undefined;
    const stat = this.readStat();
    this.folder.close();
    return stat?.startTicks;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }

  private readOpen(known: Known): ProcessFacts {
    const folder = this.folder;
    const length = folder.read(entry.cmdline, this.argumentBytes + 1);
    const args = length < 0 ? undefined : parseArguments(folder.data, Math.min(length, this.argumentBytes));
    const exe = this.link(entry.exe);
    // Ended, and perhaps not yet waited for: what is left would say no more than what the events told.
    const ended = exe === undefined && (args === undefined || args.length === 0);
    if (ended && known.startTicks !== undefined) return factsOf(known);
    const stat = this.readStat();
    if (stat === undefined) return factsOf(known);
    if (known.seenTicks !== undefined && stat.startTicks > known.seenTicks) return factsOf(known);
    this.stat = stat;
    // Not only where the link could be read: a path beyond PATH_MAX has none, its file is there.
    const running = folder.look(entry.exe) === 0;
    const mode = running ? folder.mode : undefined;
    const age = running ? Math.max(0, (realtimeNow() - folder.ctime) / 1e9) : undefined;
    const device = running ? folder.device : undefined;
    const inode = running ? folder.inode : undefined;
    const removed = exe?.endsWith(DELETED);
    const memfd = removed === true ? exe?.startsWith(MEMFD) : removed;
    const owned = folder.look(entry.self) === 0;
    // The owner is the user now; what events told is the user at the exec.
    const uid = known.uid ?? (owned ? folder.uid : undefined);
    const gid = owned ? folder.gid : undefined;
    const session = this.number(entry.sessionid);
    const mounts = this.namespace(entry.mountNamespace);
    const hasImage = running || (stat.flags & PF_KTHREAD) !== 0;
    return {
      startTicks: stat.startTicks,
      parentPid: stat.parentPid,
      executable: removed === true ? exe?.slice(memfd === true ? 1 : 0, -DELETED.length) : exe,
      // Memory never had a name that could have been removed.
      executableDeleted: memfd === true ? false : removed,
      executableMemfd: memfd,
      executableSetuid: mode === undefined ? undefined : (mode & 0o6000) !== 0,
      executableAge: age,
      filename: undefined,
      script: undefined,
      // A process that has ended, or is about to, has no arguments any more: that is not the same as none.
      args: args !== undefined && (args.length > 0 || hasImage) ? args : undefined,
      argsTruncated: length > this.argumentBytes,
      cwd: this.link(entry.cwd),
      uid,
      realUid: known.realUid ?? this.readStatus()?.realUid,
      gid,
      loginUid: session === undefined ? undefined : this.loginUser(session),
      sessionId: session === AUDIT_UNSET ? undefined : session,
      tty: terminalName(stat.ttyNumber, this.terminals),
      cgroup: this.cgroup(),
      device,
      inode,
      mountNamespace: this.namespaces ? mounts : undefined,
      pidNamespace: this.namespaces ? this.namespace(entry.pidNamespace) : undefined,
      userMounts: this.userMounts(mounts),
    };
  }

  private readStat(): ProcStat | undefined {
    const length = this.folder.read(entry.stat);
    if (length < 0) return undefined;
    const stat = parseStat(this.folder.data, length);
    return "failure" in stat ? undefined : stat;
  }

  private readStatus(): ProcStatus | undefined {
    const length = this.folder.read(entry.status);
    if (length < 0) return undefined;
    const status = parseStatus(this.folder.data, length);
    return "failure" in status ? undefined : status;
  }

  private cgroup(): string | undefined {
    const length = this.folder.read(entry.cgroup);
    return length < 0 ? undefined : parseCgroup(this.folder.data, length);
  }

  private link(file: Entry): string | undefined {
    const length = this.folder.link(file);
    return length < 0 ? undefined : decodeText(this.folder.data, 0, length);
  }

  private number(file: Entry): number | undefined {
    const length = this.folder.read(file);
    return length > 0 && readDecimals(this.folder.data, 0, length, number) === 1 ? number[0] : undefined;
  }

  private namespace(file: Entry): number | undefined {
    return this.folder.look(file) === 0 ? this.folder.inode : undefined;
  }

  /** Nothing is remembered of a namespace: its number is soon another one's. */
  private userMounts(mounts: number | undefined): boolean | undefined {
    if (mounts === undefined) return undefined;
    if (mounts === this.hostMounts) return false;
    const owner = this.folder.ownerOf(entry.mountNamespace);
    return owner < 0 ? undefined : owner !== INIT_USER_NAMESPACE;
  }

  private loginUser(session: number): number | null | undefined {
    if (session === AUDIT_UNSET) return null;
    const remembered = this.loginUsers.get(session);
    if (remembered !== undefined) return remembered;
    const user = this.number(entry.loginuid);
    if (user === undefined) return undefined;
    if (user === AUDIT_UNSET) return null;
    if (this.loginUsers.size >= SESSIONS_REMEMBERED) this.loginUsers.clear();
    this.loginUsers.set(session, user);
    return user;
  }
}

/** The facts of a process of which nothing more could be read. */
export function factsOf({ startTicks, parentPid, uid, realUid }: Known): ProcessFacts {
  return { ...nothingKnown, startTicks, parentPid, uid, realUid };
}

function terminalDrivers(root: string): readonly TerminalDriver[] {
  try {
    const drivers = parseTerminalDrivers(readFileSync(`${root}/tty/drivers`, "latin1"));
    return drivers.length > 0 ? drivers : commonDrivers;
  } catch {
    return commonDrivers;
  }
}
