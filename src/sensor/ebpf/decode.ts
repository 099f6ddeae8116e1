// Records into events. Bytes in, values out; knows no kernel and no clock.
import { makeDevice } from "../../linux/proc/read.ts";
import { decodeText } from "../../linux/text.ts";
import type { ExecEvent, ProcessEvent, ProcessFacts } from "../event.ts";
import { Interned } from "./intern.ts";
import { common, exec, exit, flags, fork, kinds } from "./record.ts";
import { ToldUsers } from "./users.ts";

/** An exec, and the key by which `EbpfSensor.settle` tells the kernel that its like need not be read at once. */
export interface EbpfExecEvent extends ExecEvent {
  /** 0 if its like cannot be settled. */
  readonly settleKey: number;
}

const source = "ebpf";
/** include/linux/audit.h: (uid_t) -1, no login user, and no session. */
const AUDIT_UNSET = 0xffff_ffff;
const S_ISUID_OR_S_ISGID = 0o6000;
/** include/linux/fs.h, since 6.13: the uppermost bit says that somebody has seen this time. */
const I_CTIME_QUERIED = 0x8000_0000;
const MEMFD = "memfd:";

export interface DecoderOptions {
  /** The kernel keeps login users and sessions (CONFIG_AUDIT). */
  readonly audit: boolean;
  /** The kernel keeps control groups. */
  readonly cgroups: boolean;
}

export class Decoder {
  /** Nanoseconds from CLOCK_MONOTONIC to the time of day: what makes a file's age out of its ctime. */
  realtime = 0;
  private readonly options: DecoderOptions;
  private readonly users = new ToldUsers();
  private readonly executables = new Interned(1024, decodePath);
  private readonly directories = new Interned(1024, decodePath);
  private readonly cgroups = new Interned(256, decodePath);
  private readonly strings = new Interned(1024, decodeString);
  private readonly terminals = new Interned(64, decodeTerminal);

  constructor(options: DecoderOptions) {
    this.options = options;
  }

  /** Events were lost: nothing is taken for told any more. */
  forget(): void {
    this.users.clear();
  }

  /** The record `bytes[start, end)` as one event, or a fork preceded by the parent's change of user. */
  decode(
    bytes: Uint8Array,
    words: Uint32Array,
    start: number,
    end: number,
    sink: (event: ProcessEvent) => void,
  ): void {
    const kind = word(words, start, common.kind);
    if (kind === kinds.exec && end - start >= exec.texts) sink(this.exec(bytes, words, start));
    else if (kind === kinds.exit) {
      sink({
        kind: "exit",
        source,
        time: long(words, start, common.time),
        pid: word(words, start, common.pid),
        status: word(words, start, exit.status),
      });
    } else if (kind === kinds.fork) this.fork(words, start, sink);
  }

  private fork(words: Uint32Array, start: number, sink: (event: ProcessEvent) => void): void {
    const time = long(words, start, common.time);
    const pid = word(words, start, common.pid);
    const parentPid = word(words, start, fork.parentPid);
    const uid = word(words, start, fork.uid);
    const realUid = word(words, start, fork.realUid);
    // No tracepoint tells of setuid(2); a child is born with what its parent is by then.
    if (this.users.tell(parentPid, uid, realUid))
      sink({ kind: "user", source, time, pid: parentPid, uid, realUid });
    this.users.tell(pid, uid, realUid);
    sink({
      kind: "fork",
      source,
      time,
      pid,
      parentPid,
      startTicks: ticks(words, start, fork.start),
      startExact: true,
    });
  }

  private exec(bytes: Uint8Array, words: Uint32Array, start: number): EbpfExecEvent {
    const time = long(words, start, common.time);
    const pid = word(words, start, common.pid);
    const uid = word(words, start, exec.uid);
    const realUid = word(words, start, exec.realUid);
    this.users.tell(pid, uid, realUid);
    return {
      kind: "exec",
      source,
      time,
      pid,
      facts: this.facts(bytes, words, start, time, uid, realUid),
      settleKey: long(words, start, exec.settleKey),
    };
  }

  private facts(
    bytes: Uint8Array,
    words: Uint32Array,
    start: number,
    time: number,
    uid: number,
    realUid: number,
  ): ProcessFacts {
    const flag = word(words, start, exec.flags);
    const texts = start + exec.texts;
    const filenameEnd = start + word(words, start, exec.filenameEnd);
    const argsEnd = start + word(words, start, exec.argsEnd);
    const ttyEnd = start + word(words, start, exec.ttyEnd);
    const cgroupEnd = start + word(words, start, exec.cgroupEnd);
    const executableEnd = start + word(words, start, exec.executableEnd);
    const cwdEnd = start + word(words, start, exec.cwdEnd);

    const found = executableEnd > cgroupEnd && (flag & flags.executableCut) === 0;
    const path = found ? this.executables.text(bytes, cgroupEnd, executableEnd) : undefined;
    const memfd = path === undefined ? undefined : (flag & flags.nameless) !== 0 && path.startsWith(MEMFD, 1);
    const filename = filenameEnd > texts ? this.strings.text(bytes, texts, filenameEnd) : undefined;
    const nanoseconds = word(words, start, exec.changedNanoseconds) & ~I_CTIME_QUERIED;
    const changed = long(words, start, exec.changed) * 1e9 + nanoseconds;
    const device = word(words, start, exec.device);
    const session = word(words, start, exec.sessionId);
    const login = word(words, start, exec.loginUid);
    return {
      startTicks: ticks(words, start, exec.start),
      parentPid: word(words, start, exec.parentPid),
      executable: memfd === true ? path?.slice(1) : path,
      // Memory never had a name that could have been removed.
      executableDeleted: memfd === undefined ? undefined : !memfd && (flag & flags.deleted) !== 0,
      executableMemfd: memfd,
      executableSetuid: (word(words, start, exec.mode) & S_ISUID_OR_S_ISGID) !== 0,
      executableAge: Math.max(0, (time + this.realtime - changed) / 1e9),
      filename,
      script: (flag & flags.script) !== 0 ? filename : undefined,
      args: (flag & flags.argsUnreadable) !== 0 ? undefined : decodeArguments(bytes, filenameEnd, argsEnd),
      argsTruncated: (flag & flags.argsTruncated) !== 0,
      cwd: (flag & flags.cwdCut) !== 0 ? undefined : this.directories.text(bytes, executableEnd, cwdEnd),
      uid,
      realUid,
      gid: word(words, start, exec.gid),
      loginUid: this.options.audit ? (login === AUDIT_UNSET ? null : login) : undefined,
      sessionId: this.options.audit && session !== AUDIT_UNSET ? session : undefined,
      tty: ttyEnd > argsEnd ? this.terminals.text(bytes, argsEnd, ttyEnd) : null,
      cgroup:
        this.options.cgroups && (flag & flags.cgroupCut) === 0
          ? this.cgroups.text(bytes, ttyEnd, cgroupEnd)
          : undefined,
      device: makeDevice(device >>> 20, device & 0xf_ffff),
      inode: long(words, start, exec.inode),
      mountNamespace: word(words, start, exec.mountNamespace),
      pidNamespace: word(words, start, exec.pidNamespace),
      userMounts: (flag & flags.userMounts) !== 0,
    };
  }
}

function word(words: Uint32Array, start: number, field: number): number {
  return words[(start + field) >>> 2] ?? 0;
}

/** 64 bits, exact below 2^53. */
function long(words: Uint32Array, start: number, field: number): number {
  return word(words, start, field + 4) * 2 ** 32 + word(words, start, field);
}

/** Nanoseconds as ticks of USER_HZ, as nsec_to_clock_t of kernel/time/time.c has it, exact for any uptime. */
function ticks(words: Uint32Array, start: number, field: number): number {
  const high = word(words, start, field + 4);
  // 2^32 = 429 * 10^7 + 4,967,296
  return high * 429 + Math.floor((high * 4_967_296 + word(words, start, field)) / 1e7);
}

function decodeArguments(bytes: Uint8Array, start: number, end: number): string[] {
  if (end === start) return [];
  return decodeText(bytes, start, bytes[end - 1] === 0 ? end - 1 : end).split("\0");
}

/** Elements leaf to root, each NUL-terminated: an absolute path. */
function decodePath(bytes: Uint8Array, start: number, end: number): string {
  if (end === start) return "/";
  return `/${decodeText(bytes, start, end - 1)
    .split("\0")
    .reverse()
    .join("/")}`;
}

function decodeString(bytes: Uint8Array, start: number, end: number): string {
  return decodeText(bytes, start, end - 1);
}

/** The kernel says pts0 for what is /dev/pts/0. */
function decodeTerminal(bytes: Uint8Array, start: number, end: number): string {
  return decodeText(bytes, start, end - 1).replace(/^pts(?=\d)/, "pts/");
}
