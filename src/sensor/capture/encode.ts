// Events into the entries of a capture. Knows no file and no clock.
import { encodeText } from "../../linux/text.ts";
import { commOf } from "../acct/accounted-facts.ts";
import {
  lossReasons,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
  type SensorSource,
} from "../event.ts";
import { ByteSink } from "./bytes.ts";
import {
  bit,
  block,
  placeBit,
  programBit,
  REMEMBERED_BYTES,
  REMEMBERED_TEXTS,
  sourceNumbers,
  TEXT_LIMIT,
  tag,
} from "./format.ts";

/** A clock that was set or slewed further than this is told. */
const CLOCK_STEP_NS = 100_000;

/** What comes again and again is told once and then by its number: texts, programs, and where a process stands. */
export class CaptureEncoder {
  /** Events so far, scanned processes not counted. */
  events = 0;
  private readonly userName: (uid: number) => string | undefined;
  private readonly sink = new ByteSink();
  private readonly texts = new Map<string, number>();
  private textBytes = 0;
  private readonly programs = new Map<string, number>();
  private readonly places = new Map<string, number>();
  private readonly users = new Set<number>();
  private source: SensorSource | undefined;
  private wallOffset: number;
  private time = 0;
  private pid = 0;
  private startTicks = 0;

  /** `wallOffset`: the header's. */
  constructor(wallOffset: number, userName: (uid: number) => string | undefined) {
    this.wallOffset = wallOffset;
    this.userName = userName;
    this.sink.byte(block.entries);
  }

  /** Bytes that wait to be taken. */
  get waiting(): number {
    return this.sink.length - 1;
  }

  /** A block's payload, and begins the next one. Holds until the next entry. */
  take(): Uint8Array {
    const payload = this.sink.written();
    this.sink.length = 1;
    return payload;
  }

  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns, of the events that follow. */
  clock(wallOffset: number): void {
    if (Math.abs(wallOffset - this.wallOffset) < CLOCK_STEP_NS) return;
    this.wallOffset = wallOffset;
    this.sink.byte(tag.clock);
    this.sink.double(wallOffset);
  }

  event(event: ProcessEvent): void {
    this.events += 1;
    this.forgetInTime();
    this.tellSource(event.source);
    switch (event.kind) {
      case "fork":
        this.sink.byte(tag.fork | (event.startExact ? bit.first : 0));
        this.when(event.time, event.pid);
        this.sink.signed(event.parentPid - event.pid);
        this.start(event.startTicks);
        return;
      case "exec":
        this.exec(event.time, event.pid, event.facts);
        return;
      case "user":
        this.sink.byte(tag.user);
        this.when(event.time, event.pid);
        this.sink.unsigned(event.uid);
        this.sink.unsigned(event.realUid);
        return;
      case "exit":
        this.sink.byte(tag.exit | (event.status === undefined ? 0 : bit.first));
        this.when(event.time, event.pid);
        if (event.status !== undefined) this.sink.unsigned(event.status);
        return;
      case "loss":
        this.sink.byte(tag.loss | (event.count === undefined ? 0 : bit.first));
        this.at(event.time);
        this.sink.byte(lossReasons.indexOf(event.reason));
        if (event.count !== undefined) this.sink.unsigned(event.count);
        return;
    }
  }

  /** One process of a scan; `scanned` follows the last of them. */
  process(one: ScannedProcess): void {
    this.forgetInTime();
    const known = this.facts(one.facts);
    const entry = one.kernelThread ? tag.scannedKernelThread : tag.scanned;
    this.sink.byte(entry | flagsOf(one.facts));
    this.identity(one.pid);
    this.varying(one.facts, one.pid, known);
  }

  /** The processes since the last scan are one that began at `time` (ns, CLOCK_MONOTONIC). */
  scanned(time: number): void {
    this.sink.byte(tag.scanEnd);
    this.at(time);
  }

  private exec(time: number, pid: number, facts: ProcessFacts): void {
    const known = this.facts(facts);
    this.sink.byte(tag.exec | flagsOf(facts));
    this.when(time, pid);
    this.varying(facts, pid, known);
  }

  private varying(facts: ProcessFacts, pid: number, known: Known): void {
    if (facts.startTicks !== undefined) this.start(facts.startTicks);
    if (facts.parentPid !== undefined) this.sink.signed(facts.parentPid - pid);
    if (facts.executableAge !== undefined) this.sink.double(facts.executableAge);
    this.sink.unsigned(known.program);
    this.sink.unsigned(known.args);
    this.sink.unsigned(known.place);
  }

  private when(time: number, pid: number): void {
    this.at(time);
    this.identity(pid);
  }

  private at(time: number): void {
    const now = Math.round(time);
    this.sink.signed(now - this.time);
    this.time = now;
  }

  private identity(pid: number): void {
    this.sink.signed(pid - this.pid);
    this.pid = pid;
  }

  private start(ticks: number): void {
    this.sink.signed(ticks - this.startTicks);
    this.startTicks = ticks;
  }

  private tellSource(source: SensorSource): void {
    if (source === this.source) return;
    this.source = source;
    this.sink.byte(tag.source);
    this.sink.byte(sourceNumbers.indexOf(source));
  }

  /** Defines what was not yet told; everything a process can make different again and again is bounded. */
  private facts(facts: ProcessFacts): Known {
    if (facts.uid !== undefined) this.tellUser(facts.uid);
    return { program: this.program(facts), args: this.args(facts.args), place: this.place(facts) };
  }

  private program(facts: ProcessFacts): number {
    const { executable, filename, script, device, inode } = facts;
    const { executableDeleted, executableMemfd, executableSetuid } = facts;
    const flags =
      (device === undefined ? 0 : programBit.device) |
      (inode === undefined ? 0 : programBit.inode) |
      (threeWay(executableDeleted) << programBit.deleted) |
      (threeWay(executableMemfd) << programBit.memfd) |
      (threeWay(executableSetuid) << programBit.setuid);
    const path = this.text(executable);
    const given = this.text(filename);
    const script_ = this.text(script);
    const comm = this.text(commOf(facts));
    const key = `${flags},${path},${given},${script_},${comm},${device ?? ""},${inode ?? ""}`;
    const known = this.programs.get(key);
    if (known !== undefined) return known;
    this.sink.byte(tag.program);
    this.sink.byte(flags);
    for (const reference of [path, given, script_, comm]) this.sink.unsigned(reference);
    if (device !== undefined) this.sink.unsigned(device);
    if (inode !== undefined) this.sink.unsigned(inode);
    this.programs.set(key, this.programs.size);
    return this.programs.size - 1;
  }

  private place(facts: ProcessFacts): number {
    const { uid, realUid, gid, loginUid, sessionId, mountNamespace, pidNamespace } = facts;
    const numbers = [uid, realUid, gid, loginUid ?? undefined, sessionId, mountNamespace, pidNamespace];
    const flags =
      (uid === undefined ? 0 : placeBit.uid) |
      (realUid === undefined ? 0 : placeBit.realUid) |
      (gid === undefined ? 0 : placeBit.gid) |
      (loginUid === undefined ? 0 : loginUid === null ? placeBit.noLoginUid : placeBit.loginUid) |
      (sessionId === undefined ? 0 : placeBit.sessionId) |
      (facts.tty === null ? placeBit.noTty : 0) |
      (mountNamespace === undefined ? 0 : placeBit.mountNamespace) |
      (pidNamespace === undefined ? 0 : placeBit.pidNamespace) |
      (threeWay(facts.userMounts) * placeBit.userMounts);
    const cwd = this.text(facts.cwd);
    const cgroup = this.text(facts.cgroup);
    const tty = this.text(facts.tty ?? undefined);
    const key = `${flags},${cwd},${cgroup},${tty},${numbers}`;
    const known = this.places.get(key);
    if (known !== undefined) return known;
    this.sink.byte(tag.place);
    this.sink.unsigned(flags);
    for (const reference of [cwd, cgroup, tty]) this.sink.unsigned(reference);
    for (const number of numbers) if (number !== undefined) this.sink.unsigned(number);
    this.places.set(key, this.places.size);
    return this.places.size - 1;
  }

  /** Each argument ends with a NUL, as in /proc/PID/cmdline: none is the empty text. */
  private args(args: readonly string[] | undefined): number {
    if (args === undefined) return 0;
    return this.text(args.length === 0 ? "" : `${args.join("\0")}\0`);
  }

  private text(text: string | undefined): number {
    if (text === undefined) return 0;
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    const bytes = encodeText(text);
    if (bytes.length > TEXT_LIMIT) return 0;
    this.sink.byte(tag.text);
    this.sink.unsigned(bytes.length);
    this.sink.raw(bytes);
    this.textBytes += bytes.length;
    this.texts.set(text, this.texts.size + 1);
    return this.texts.size;
  }

  private tellUser(uid: number): void {
    if (this.users.has(uid)) return;
    this.users.add(uid);
    const name = this.userName(uid);
    if (name === undefined) return;
    const reference = this.text(name);
    this.sink.byte(tag.userName);
    this.sink.unsigned(uid);
    this.sink.unsigned(reference);
  }

  /** Between two entries: what one of them names must not be forgotten before it ends. */
  private forgetInTime(): void {
    const { texts, programs, places, users } = this;
    const most = Math.max(texts.size, programs.size, places.size, users.size);
    if (most < REMEMBERED_TEXTS / 2 && this.textBytes < REMEMBERED_BYTES / 2) return;
    for (const known of [texts, programs, places, users]) known.clear();
    this.textBytes = 0;
    this.sink.byte(tag.reset);
  }
}

/** Numbers of what was defined; texts count from 1, 0 is unknown. */
interface Known {
  readonly program: number;
  readonly args: number;
  readonly place: number;
}

function flagsOf(facts: ProcessFacts): number {
  return (
    (facts.startTicks === undefined ? 0 : bit.startTicks) |
    (facts.parentPid === undefined ? 0 : bit.parentPid) |
    (facts.executableAge === undefined ? 0 : bit.executableAge) |
    (facts.argsTruncated ? bit.argsTruncated : 0)
  );
}

/** 0 unknown, 1 false, 2 true. */
function threeWay(value: boolean | undefined): number {
  return value === undefined ? 0 : value ? 2 : 1;
}
