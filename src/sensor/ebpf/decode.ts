// Decodes records to events. Depends on no kernel and no clock.
import { AUDIT_UNSET } from "../../linux/kernel-constants.ts";
import { makeDevice } from "../../linux/proc/read.ts";
import { decodeText } from "../../linux/text.ts";
import { EnvironmentReader } from "../environment-reader.ts";
import type { ExecEvent, ExitEvent, OwnSignal, ProcessEvent, ProcessFacts } from "../event.ts";
import { StringCache } from "../string-cache.ts";
import { isTrustedFile } from "../trusted-file.ts";
import { KnownUsers } from "./known-users.ts";
import {
  commonLayout,
  execLayout,
  exitLayout,
  forkLayout,
  type RecordKind,
  recordedKinds,
  recordFlags,
  recordKinds,
  SIGNAL_RECORD,
  signalLayout,
} from "./layout.ts";
import { NetworkDecoder } from "./network/decode.ts";
import type { UdpSessions } from "./network/sessions.ts";
import { long, ticksAt, word } from "./record-words.ts";

/** An exec with the key by which `EbpfSensor.settle` stops the kernel from waking the reader for such execs. */
export interface EbpfExecEvent extends ExecEvent {
  /** 0 if it cannot be settled. */
  readonly settleKey: number;
}

const source = "ebpf";
const S_ISUID_OR_S_ISGID = 0o6000;
/** include/linux/fs.h, since 6.13: the uppermost bit marks a time that has been queried. */
const I_CTIME_QUERIED = 0x8000_0000;
const MEMFD = "memfd:";
/** asm-generic/siginfo.h: what a process cannot put into the siginfo of a signal to another one is above 0. */
const USER_CODES = 0;

type EventSink = (event: ProcessEvent) => void;
/** Decodes the record `bytes[start, end)` of one kind and passes its events to `sink`. */
type Decode = (bytes: Uint8Array, words: Uint32Array, start: number, end: number, sink: EventSink) => void;

export interface DecoderOptions {
  /** The kernel keeps login users and sessions (CONFIG_AUDIT). */
  readonly audit: boolean;
  /** The kernel keeps control groups. */
  readonly cgroups: boolean;
  /** The environment variables to keep, where the environment was read. */
  readonly environmentNames?: readonly string[] | undefined;
  /** Called after the event of a process's exit was emitted. */
  readonly onExit?: ((pid: number) => void) | undefined;
  /** The UDP sessions that are under way; they end with their sockets. */
  readonly sessions?: UdpSessions | undefined;
}

export class Decoder {
  /** CLOCK_REALTIME - CLOCK_MONOTONIC in nanoseconds, from which the age of a file is computed. */
  realtime = 0;
  private readonly options: DecoderOptions;
  private readonly users = new KnownUsers();
  private readonly executables = new StringCache(1024, decodePath);
  private readonly directories = new StringCache(1024, decodePath);
  private readonly cgroups = new StringCache(256, decodePath);
  private readonly strings = new StringCache(1024, decodeString);
  private readonly terminals = new StringCache(64, decodeTerminal);
  private readonly environments: EnvironmentReader;
  private readonly network: NetworkDecoder;

  /** Takes the signals to watched processes. */
  onSignal: (signal: OwnSignal) => void = () => undefined;
  /** Decoders indexed by the number of the record's kind. */
  private readonly decoders: readonly (Decode | undefined)[];

  constructor(options: DecoderOptions) {
    this.options = options;
    this.environments = new EnvironmentReader(options.environmentNames ?? []);
    this.network = new NetworkDecoder(options.sessions);
    const decoders: Readonly<Record<RecordKind, Decode>> = {
      fork: (_bytes, words, start, _end, sink) => this.fork(words, start, sink),
      exec: (bytes, words, start, end, sink) => {
        if (end - start >= execLayout.texts) sink(this.exec(bytes, words, start));
      },
      exit: (_bytes, words, start, _end, sink) => {
        const event = this.exit(words, start);
        sink(event);
        options.onExit?.(event.pid);
      },
      connect: (bytes, words, start, _end, sink) => sink(this.network.connect(bytes, words, start)),
      send: (bytes, words, start, _end, sink) => sink(this.network.send(bytes, words, start)),
      listen: (bytes, words, start, _end, sink) => sink(this.network.listen(bytes, words, start)),
      close: (_bytes, words, start, _end, sink) => this.network.close(words, start, sink),
    };
    const byNumber: Decode[] = [];
    for (const kind of recordedKinds) byNumber[recordKinds[kind]] = decoders[kind];
    byNumber[SIGNAL_RECORD] = (_bytes, words, start) => this.onSignal(ownSignal(words, start));
    this.decoders = byNumber;
  }

  /** Forgets the users of processes. To be called after a loss, as any of them may have changed. */
  forget(): void {
    this.users.clear();
  }

  /** Decodes the record `bytes[start, end)` to one event, or to a fork preceded by a change of the parent's user. */
  decode(bytes: Uint8Array, words: Uint32Array, start: number, end: number, sink: EventSink): void {
    this.decoders[word(words, start, commonLayout.kind)]?.(bytes, words, start, end, sink);
  }

  private fork(words: Uint32Array, start: number, sink: EventSink): void {
    const time = long(words, start, commonLayout.time);
    const pid = word(words, start, commonLayout.pid);
    const parentPid = word(words, start, forkLayout.parentPid);
    const uid = word(words, start, forkLayout.uid);
    const realUid = word(words, start, forkLayout.realUid);
    // No tracepoint reports setuid(2), but a child begins with the users that its parent has at the fork.
    if (this.users.update(parentPid, uid, realUid))
      sink({ kind: "user", source, time, pid: parentPid, uid, realUid });
    this.users.update(pid, uid, realUid);
    sink({
      kind: "fork",
      source,
      time,
      pid,
      parentPid,
      startTicks: ticksAt(words, start, forkLayout.start),
      startExact: true,
      execId: word(words, start, forkLayout.execId),
    });
  }

  private exit(words: Uint32Array, start: number): ExitEvent {
    return {
      kind: "exit",
      source,
      time: long(words, start, commonLayout.time),
      pid: word(words, start, commonLayout.pid),
      status: word(words, start, exitLayout.status),
    };
  }

  private exec(bytes: Uint8Array, words: Uint32Array, start: number): EbpfExecEvent {
    const time = long(words, start, commonLayout.time);
    const pid = word(words, start, commonLayout.pid);
    const uid = word(words, start, execLayout.uid);
    const realUid = word(words, start, execLayout.realUid);
    const flags = word(words, start, execLayout.flags);
    this.users.update(pid, uid, realUid);
    return {
      kind: "exec",
      source,
      time,
      pid,
      facts: this.facts(bytes, words, start, time, uid, realUid),
      settleKey: long(words, start, execLayout.settleKey),
      execId: word(words, start, execLayout.execId),
      prevented: (flags & recordFlags.prevented) !== 0,
      preventionFailed: (flags & recordFlags.preventionFailed) !== 0,
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
    const flags = word(words, start, execLayout.flags);
    const texts = start + execLayout.texts;
    const filenameEnd = start + word(words, start, execLayout.filenameEnd);
    const argsEnd = start + word(words, start, execLayout.argsEnd);
    const ttyEnd = start + word(words, start, execLayout.ttyEnd);
    const cgroupEnd = start + word(words, start, execLayout.cgroupEnd);
    const executableEnd = start + word(words, start, execLayout.executableEnd);
    const cwdEnd = start + word(words, start, execLayout.cwdEnd);
    const environmentBytes = word(words, start, execLayout.environmentEnd);
    const isUnread = (flags & recordFlags.environmentUnread) !== 0;
    const environment =
      environmentBytes === 0 ? undefined : this.environments.take(bytes, cwdEnd, start + environmentBytes);

    const hasPath = executableEnd > cgroupEnd && (flags & recordFlags.executableCut) === 0;
    const path = hasPath ? this.executables.text(bytes, cgroupEnd, executableEnd) : undefined;
    const memfd =
      path === undefined ? undefined : (flags & recordFlags.nameless) !== 0 && path.startsWith(MEMFD, 1);
    const filename = filenameEnd > texts ? this.strings.text(bytes, texts, filenameEnd) : undefined;
    const nanoseconds = word(words, start, execLayout.changedNanoseconds) & ~I_CTIME_QUERIED;
    const changed = long(words, start, execLayout.changed) * 1e9 + nanoseconds;
    const device = word(words, start, execLayout.device);
    const mode = word(words, start, execLayout.mode);
    const session = word(words, start, execLayout.sessionId);
    const login = word(words, start, execLayout.loginUid);
    return {
      startTicks: ticksAt(words, start, execLayout.start),
      parentPid: word(words, start, execLayout.parentPid),
      executable: memfd === true ? path?.slice(1) : path,
      // A memfd has no name in a file system, so it cannot be deleted.
      executableDeleted: memfd === undefined ? undefined : !memfd && (flags & recordFlags.deleted) !== 0,
      executableMemfd: memfd,
      executableSetuid: (mode & S_ISUID_OR_S_ISGID) !== 0,
      executableAge: Math.max(0, (time + this.realtime - changed) / 1e9),
      filename,
      script: (flags & recordFlags.script) !== 0 ? filename : undefined,
      args:
        (flags & recordFlags.argsUnreadable) !== 0 ? undefined : decodeArguments(bytes, filenameEnd, argsEnd),
      argsTruncated: (flags & recordFlags.argsTruncated) !== 0,
      cwd:
        (flags & recordFlags.cwdCut) !== 0 ? undefined : this.directories.text(bytes, executableEnd, cwdEnd),
      uid,
      realUid,
      gid: word(words, start, execLayout.gid),
      loginUid: this.options.audit ? (login === AUDIT_UNSET ? null : login) : undefined,
      sessionId: this.options.audit && session !== AUDIT_UNSET ? session : undefined,
      tty: ttyEnd > argsEnd ? this.terminals.text(bytes, argsEnd, ttyEnd) : null,
      cgroup:
        this.options.cgroups && (flags & recordFlags.cgroupCut) === 0
          ? this.cgroups.text(bytes, ttyEnd, cgroupEnd)
          : undefined,
      device: makeDevice(device >>> 20, device & 0xf_ffff),
      inode: long(words, start, execLayout.inode),
      mountNamespace: word(words, start, execLayout.mountNamespace),
      pidNamespace: word(words, start, execLayout.pidNamespace),
      userMounts: (flags & recordFlags.userMounts) !== 0,
      executableTrusted: isTrustedFile(word(words, start, execLayout.owner), mode),
      environment,
      environmentTruncated: isUnread ? true : environment === undefined ? undefined : false,
    };
  }
}

function ownSignal(words: Uint32Array, start: number): OwnSignal {
  return {
    pid: word(words, start, commonLayout.pid),
    signal: word(words, start, signalLayout.signal),
    isKernels: (word(words, start, signalLayout.code) | 0) > USER_CODES,
    senderPid: word(words, start, signalLayout.senderPid),
    senderUid: word(words, start, signalLayout.senderUid),
  };
}

function decodeArguments(bytes: Uint8Array, start: number, end: number): string[] {
  if (end === start) return [];
  return decodeText(bytes, start, bytes[end - 1] === 0 ? end - 1 : end).split("\0");
}

/** Decodes elements from leaf to root, each NUL-terminated, to an absolute path. */
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

/** Decodes a terminal's name. The kernel calls /dev/pts/0 `pts0`. */
function decodeTerminal(bytes: Uint8Array, start: number, end: number): string {
  return decodeText(bytes, start, end - 1).replace(/^pts(?=\d)/, "pts/");
}
