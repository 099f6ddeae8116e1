// What /proc tells of a process, read at once. A process that vanishes while it is read is no error and changes
// nothing: what was read stays, what was not is undefined.
//
// Two things that could be read are not. The path given to execve(2) lies in the process's memory, where a hostile
// process can put a page whose reading never ends (FUSE, userfaultfd); `cmdline` is read by the kernel with care for
// that (FOLL_ANON, Linux 4.17). And whatever takes the lock that execve(2) holds (environ, auxv, maps) can hang as long
// as an execve does.
import { readFileSync } from "node:fs";
import { realtimeNow } from "../../linux/clock.ts";
import { parseCgroup } from "../../linux/proc/cgroup.ts";
import { parseArguments } from "../../linux/proc/cmdline.ts";
import { readDecimals } from "../../linux/proc/decimal.ts";
import { type ProcEntry, ProcessFolder, procEntry } from "../../linux/proc/read.ts";
import { PF_KTHREAD, type ProcStat, parseStat } from "../../linux/proc/stat.ts";
import { type ProcStatus, parseStatus } from "../../linux/proc/status.ts";
import {
  commonDrivers,
  parseTerminalDrivers,
  type TerminalDriver,
  terminalName,
} from "../../linux/proc/terminal.ts";
import { decodeText } from "../../linux/text.ts";
import { type ProcessFacts, unknownFacts } from "../event.ts";
import { HostMounts } from "../hostmounts.ts";
import { StringCache } from "../string-cache.ts";

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

/** What of a process follows its executable: gone with it, and therefore looked at first. */
export interface Glance {
  /** Neither a program nor arguments: it has ended, or is a kernel thread. */
  readonly empty: boolean;
  readonly executable: string | undefined;
  readonly args: readonly string[] | undefined;
  readonly argsTruncated: boolean;
  /** The executable's file could be looked at; else the four below are undefined. */
  readonly running: boolean;
  readonly mode: number | undefined;
  /** When its inode last changed: ns since 1970. */
  readonly changed: number | undefined;
  readonly device: number | undefined;
  readonly inode: number | undefined;
  /** The owner of its folder: effective user and group. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mountNamespace: number | undefined;
  readonly userMounts: boolean | undefined;
}

/** Where a process stands: what an exec does not change and a fork hands on. */
export interface Place {
  readonly tty: string | null | undefined;
  readonly loginUid: number | null | undefined;
  readonly sessionId: number | undefined;
  readonly cgroup: string | undefined;
  readonly cwd: string | undefined;
}

/** A place that was read, and who was found there. */
export interface FoundPlace extends Place {
  readonly startTicks: number;
  readonly parentPid: number;
  /** Undefined unless it was asked for. */
  readonly realUid: number | undefined;
  /** Undefined unless the reader was made to read it. */
  readonly pidNamespace: number | undefined;
}

/** Of a process that showed nothing. */
const noGlance: Glance = {
  empty: true,
  executable: undefined,
  args: undefined,
  argsTruncated: false,
  running: false,
  mode: undefined,
  changed: undefined,
  device: undefined,
  inode: undefined,
  uid: undefined,
  gid: undefined,
  mountNamespace: undefined,
  userMounts: undefined,
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
  private readonly paths = new StringCache(256, decodeText);
  private readonly argumentBytes: number;
  private readonly namespaces: boolean;
  /** The mount namespace of pid 1: the host's. */
  private readonly hostMounts: number | undefined;
  /** Its own mount namespace, which keeps its number as long as this process is in it, and whether it is a user's. */
  private readonly ownMounts: number | undefined;
  private readonly ownAreUsers: boolean | undefined;
  private readonly terminals: readonly TerminalDriver[];
  /**
   * Login users by session. Invalidated by: nothing, the kernel gives a session its number when its login user is set,
   * and changes neither (kernel/auditsc.c).
   */
  private readonly loginUsers = new Map<number, number>();
  private readonly programMounts = new HostMounts();

  constructor(options: FactsOptions = {}) {
    this.argumentBytes = options.argumentBytes ?? DEFAULT_ARGUMENT_BYTES;
    this.namespaces = options.namespaces ?? false;
    const root = options.root ?? "/proc";
    this.folder = new ProcessFolder(Math.max(this.argumentBytes + 1, LEAST_BUFFER), root);
    this.terminals = terminalDrivers(root);
    if (this.folder.open(1) === 0) this.hostMounts = this.namespace(procEntry.mountNamespace);
    if (this.folder.open(process.pid) === 0) {
      const own = this.namespace(procEntry.mountNamespace);
      this.ownAreUsers = this.userMounts(own);
      this.ownMounts = own;
    }
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
   * What goes first of `pid`, and nothing that can wait; `withPlace`: the rest too, by the same open folder, unless
   * it started after `seenTicks`. Whose program it is, the caller must know: a pid is not asked who it is. Without it
   * the mount namespace, a third of the cost, is left out for a program that runs from a mount of the host's own, as
   * seen within a second before `seenTicks`.
   */
  glance(
    pid: number,
    withPlace: boolean,
    seenTicks: number,
  ): { readonly glance: Glance; readonly place: FoundPlace | undefined } | undefined {
    if (this.folder.open(pid) < 0) return undefined;
    const glance = this.readGlance(true, withPlace, seenTicks);
    const place = withPlace && !glance.empty ? this.readPlace(seenTicks, false) : undefined;
    this.folder.close();
    return { glance, place };
  }

  /** Where `pid` stands now; undefined if it is gone or started after `seenTicks` and is another. */
  place(pid: number, seenTicks: number | undefined, withRealUid: boolean): FoundPlace | undefined {
    if (this.folder.open(pid) < 0) return undefined;
    const place = this.readPlace(seenTicks, withRealUid);
    this.folder.close();
    return place;
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
    const glance = this.readGlance(known.startTicks !== undefined, true, known.seenTicks);
    // Ended, and perhaps not yet waited for: what is left would say no more than what the events told.
    if (glance.empty && known.startTicks !== undefined) return factsOf(known);
    const place = this.readPlace(known.seenTicks, known.realUid === undefined);
    if (place === undefined) return factsOf(known);
    return factsFrom(glance, place, place, known, ((this.stat?.flags ?? 0) & PF_KTHREAD) !== 0);
  }

  private readGlance(onlyPrograms: boolean, withMounts: boolean, ticks: number | undefined): Glance {
    const folder = this.folder;
    const length = folder.read(procEntry.cmdline, this.argumentBytes + 1);
    const args = length < 0 ? undefined : parseArguments(folder.data, Math.min(length, this.argumentBytes));
    const executable = this.link(procEntry.exe);
    const empty = executable === undefined && (args === undefined || args.length === 0);
    if (empty && onlyPrograms) return noGlance;
    // Not only where the link could be read: a path beyond PATH_MAX has none, its file is there.
    const running = folder.look(procEntry.exe) === 0;
    const mode = running ? folder.mode : undefined;
    const changed = running ? folder.ctime : undefined;
    const device = running ? folder.device : undefined;
    const inode = running ? folder.inode : undefined;
    const mount = running ? folder.mount : undefined;
    const owned = folder.look(procEntry.self) === 0;
    const uid = owned ? folder.uid : undefined;
    const gid = owned ? folder.gid : undefined;
    const mounts = this.mountsOf(mount, withMounts || this.namespaces, ticks);
    return {
      empty,
      executable,
      args,
      argsTruncated: length > this.argumentBytes,
      running,
      mode,
      changed,
      device,
      inode,
      uid,
      gid,
      mountNamespace: this.namespaces ? mounts : undefined,
      userMounts: this.userMounts(mounts),
    };
  }

  /** The mount namespace; undefined too if the program's mount says enough. `ticks` as `glance` has it. */
  private mountsOf(
    mount: number | undefined,
    always: boolean,
    ticks: number | undefined,
  ): number | undefined {
    if (mount === undefined || ticks === undefined) return this.namespace(procEntry.mountNamespace);
    if (!always && this.programMounts.has(mount, ticks)) return undefined;
    const mounts = this.namespace(procEntry.mountNamespace);
    if (this.isLasting(mounts) && this.userMounts(mounts) === false) this.programMounts.add(mount, ticks);
    return mounts;
  }

  /** The number of another's namespace is soon another one's, and so are those of what is mounted there. */
  private isLasting(mounts: number | undefined): boolean {
    return mounts !== undefined && (mounts === this.hostMounts || mounts === this.ownMounts);
  }

  private readPlace(seenTicks: number | undefined, withRealUid: boolean): FoundPlace | undefined {
    const stat = this.readStat();
    if (stat === undefined || (seenTicks !== undefined && stat.startTicks > seenTicks)) return undefined;
    this.stat = stat;
    const session = this.number(procEntry.sessionid);
    return {
      startTicks: stat.startTicks,
      parentPid: stat.parentPid,
      tty: terminalName(stat.ttyNumber, this.terminals),
      sessionId: session === AUDIT_UNSET ? undefined : session,
      loginUid: session === undefined ? undefined : this.loginUser(session),
      cgroup: this.cgroup(),
      cwd: this.link(procEntry.cwd),
      realUid: withRealUid ? this.readStatus()?.realUid : undefined,
      pidNamespace: this.namespaces ? this.namespace(procEntry.pidNamespace) : undefined,
    };
  }

  private readStat(): ProcStat | undefined {
    const length = this.folder.read(procEntry.stat);
    if (length < 0) return undefined;
    const stat = parseStat(this.folder.data, length);
    return "failure" in stat ? undefined : stat;
  }

  private readStatus(): ProcStatus | undefined {
    const length = this.folder.read(procEntry.status);
    if (length < 0) return undefined;
    const status = parseStatus(this.folder.data, length);
    return "failure" in status ? undefined : status;
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

  private namespace(file: ProcEntry): number | undefined {
    return this.folder.look(file) === 0 ? this.folder.inode : undefined;
  }

  /** Nothing is remembered of another's namespace: its number is soon another one's. */
  private userMounts(mounts: number | undefined): boolean | undefined {
    if (mounts === undefined) return undefined;
    if (mounts === this.hostMounts) return false;
    if (mounts === this.ownMounts) return this.ownAreUsers;
    // Services with mounts of their own: nobody but root can be in the host's user namespace and among a user's mounts.
    if (this.namespace(procEntry.userNamespace) === INIT_USER_NAMESPACE) return false;
    const owner = this.folder.ownerOf(procEntry.mountNamespace);
    return owner < 0 ? undefined : owner !== INIT_USER_NAMESPACE;
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

/**
 * The facts of a process. `found`: its own place; else `place` is what it is taken to have in common with others,
 * undefined if nobody can tell.
 */
export function factsFrom(
  glance: Glance,
  found: FoundPlace | undefined,
  place: Place | undefined,
  known: Known,
  kernelThread = false,
): ProcessFacts {
  const { executable, args, running, mode } = glance;
  const removed = executable?.endsWith(DELETED);
  const memfd = removed === true ? executable?.startsWith(MEMFD) : removed;
  return {
    startTicks: found?.startTicks ?? known.startTicks,
    parentPid: found?.parentPid ?? known.parentPid,
    executable: removed === true ? executable?.slice(memfd === true ? 1 : 0, -DELETED.length) : executable,
    // Memory never had a name that could have been removed.
    executableDeleted: memfd === true ? false : removed,
    executableMemfd: memfd,
    executableSetuid: mode === undefined ? undefined : (mode & 0o6000) !== 0,
    executableAge:
      glance.changed === undefined ? undefined : Math.max(0, (realtimeNow() - glance.changed) / 1e9),
    filename: undefined,
    script: undefined,
    // A process that has ended, or is about to, has no arguments any more: that is not the same as none.
    args: args !== undefined && (args.length > 0 || running || kernelThread) ? args : undefined,
    argsTruncated: glance.argsTruncated,
    cwd: place?.cwd,
    // The owner is the user now; what events told is the user at the exec.
    uid: known.uid ?? glance.uid,
    realUid: known.realUid ?? found?.realUid,
    gid: glance.gid,
    loginUid: place?.loginUid,
    sessionId: place?.sessionId,
    tty: place?.tty,
    cgroup: place?.cgroup,
    device: glance.device,
    inode: glance.inode,
    mountNamespace: glance.mountNamespace,
    pidNamespace: found?.pidNamespace,
    userMounts: glance.userMounts,
  };
}

/** The facts of a process of which nothing more could be read. */
export function factsOf({ startTicks, parentPid, uid, realUid }: Known): ProcessFacts {
  return { ...unknownFacts, startTicks, parentPid, uid, realUid };
}

function terminalDrivers(root: string): readonly TerminalDriver[] {
  try {
    const drivers = parseTerminalDrivers(readFileSync(`${root}/tty/drivers`, "latin1"));
    return drivers.length > 0 ? drivers : commonDrivers;
  } catch {
    return commonDrivers;
  }
}
