// The entries of a capture into events. Whoever wrote the capture is not trusted: every length, number and reference
// is checked before it is used, and what is remembered is bounded.
import { decodeText } from "../../linux/text.ts";
import { withComm } from "../acct/accounted-facts.ts";
import {
  lossReasons,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
  type SensorSource,
} from "../event.ts";
import { ByteCursor, Malformed } from "./bytes.ts";
import {
  bit,
  PID_LIMIT,
  placeBit,
  programBit,
  REMEMBERED_BYTES,
  REMEMBERED_TEXTS,
  sourceNumbers,
  TEXT_LIMIT,
  TIME_LIMIT,
  tag,
} from "./format.ts";

/** Takes what a capture holds, in its order. */
export interface CaptureSink {
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns, of the events that follow. */
  clock(wallOffset: number): void;
  event(event: ProcessEvent): void;
  /** A look at all of /proc that began at `time` (ns, CLOCK_MONOTONIC): the first, or one after a loss. */
  scan(processes: readonly ScannedProcess[], time: number): void;
}

/** What a program has of a process's facts. */
interface Program {
  readonly executable: string | undefined;
  readonly filename: string | undefined;
  readonly script: string | undefined;
  readonly comm: string | undefined;
  readonly deleted: boolean | undefined;
  readonly memfd: boolean | undefined;
  readonly setuid: boolean | undefined;
  readonly device: number | undefined;
  readonly inode: number | undefined;
}

/** Where a process stands: as whom, in which directory, group, session and namespaces. */
interface Place {
  readonly cwd: string | undefined;
  readonly cgroup: string | undefined;
  readonly tty: string | null | undefined;
  readonly uid: number | undefined;
  readonly realUid: number | undefined;
  readonly gid: number | undefined;
  readonly loginUid: number | null | undefined;
  readonly sessionId: number | undefined;
  readonly mountNamespace: number | undefined;
  readonly userMounts: boolean | undefined;
  readonly pidNamespace: number | undefined;
}

export class CaptureDecoder {
  /** Events so far, scanned processes not counted. */
  events = 0;
  private readonly cursor = new ByteCursor();
  private readonly texts: string[] = [""];
  private textBytes = 0;
  /** Argument lists by the number of their text; made when first asked for. */
  private readonly lists: (readonly string[] | undefined)[] = [];
  private readonly programs: Program[] = [];
  private readonly places: Place[] = [];
  private readonly users = new Map<number, string>();
  private scan: ScannedProcess[] = [];
  private source: SensorSource | undefined;
  private time = 0;
  private pid = 0;
  private startTicks = 0;

  /** The name that a user had on the host of the capture. */
  userName(uid: number): string | undefined {
    return this.users.get(uid);
  }

  /** The entries in `bytes[start, end)`. Throws Malformed; what came before that was handed over. */
  decode(bytes: Uint8Array, start: number, end: number, sink: CaptureSink): void {
    const { cursor } = this;
    cursor.open(bytes, start, end);
    while (!cursor.done) this.entry(cursor.byte(), sink);
  }

  private entry(first: number, sink: CaptureSink): void {
    const { cursor } = this;
    switch (first & 0x0f) {
      case tag.fork:
        this.event(sink, this.fork(first));
        return;
      case tag.exec:
        this.event(sink, this.exec(first));
        return;
      case tag.exit:
        this.event(sink, this.exit(first));
        return;
      case tag.user:
        this.event(sink, this.user());
        return;
      case tag.loss:
        this.event(sink, this.loss(first));
        return;
      case tag.text:
        this.addText();
        return;
      case tag.program:
        this.addProgram();
        return;
      case tag.place:
        this.addPlace();
        return;
      case tag.userName:
        this.addUser();
        return;
      case tag.scanned:
        this.addScanned(first, false);
        return;
      case tag.scannedKernelThread:
        this.addScanned(first, true);
        return;
      case tag.scanEnd: {
        const processes = this.scan;
        this.scan = [];
        sink.scan(processes, this.when());
        return;
      }
      case tag.clock:
        sink.clock(within(cursor.double(), "a clock"));
        return;
      case tag.source:
        this.source = sourceNumbers[cursor.byte()];
        return;
      case tag.reset:
        this.forget();
        return;
      default:
        throw new Malformed("an entry is of no known kind");
    }
  }

  private event(sink: CaptureSink, event: ProcessEvent): void {
    this.events += 1;
    sink.event(event);
  }

  private fork(first: number): ProcessEvent {
    const time = this.when();
    const pid = this.identity();
    const parentPid = pidOf(pid + this.cursor.signed());
    const startTicks = this.start();
    const startExact = (first & bit.first) !== 0;
    return { kind: "fork", source: this.from(), time, pid, parentPid, startTicks, startExact };
  }

  private exec(first: number): ProcessEvent {
    const time = this.when();
    const pid = this.identity();
    return { kind: "exec", source: this.from(), time, pid, facts: this.facts(first, pid) };
  }

  private exit(first: number): ProcessEvent {
    const time = this.when();
    const pid = this.identity();
    const status = (first & bit.first) === 0 ? undefined : this.word();
    return { kind: "exit", source: this.from(), time, pid, status };
  }

  private user(): ProcessEvent {
    const time = this.when();
    const pid = this.identity();
    const uid = this.word();
    return { kind: "user", source: this.from(), time, pid, uid, realUid: this.word() };
  }

  private loss(first: number): ProcessEvent {
    const time = this.when();
    const reason = lossReasons[this.cursor.byte()];
    if (reason === undefined) throw new Malformed("a loss has no known reason");
    const count = (first & bit.first) === 0 ? undefined : this.cursor.unsigned();
    return { kind: "loss", source: this.from(), time, reason, count };
  }

  private addScanned(first: number, kernelThread: boolean): void {
    if (this.scan.length >= PID_LIMIT) throw new Malformed("a scan has more processes than there are pids");
    const pid = this.identity();
    this.scan.push({ pid, kernelThread, facts: this.facts(first, pid) });
  }

  private facts(first: number, pid: number): ProcessFacts {
    const { cursor } = this;
    const startTicks = (first & bit.startTicks) === 0 ? undefined : this.start();
    const parentPid = (first & bit.parentPid) === 0 ? undefined : pidOf(pid + cursor.signed());
    const executableAge = (first & bit.executableAge) === 0 ? undefined : cursor.double();
    const program = this.programs[cursor.unsigned()];
    const args = this.list(cursor.unsigned());
    const place = this.places[cursor.unsigned()];
    if (program === undefined || place === undefined) throw undefinedReference();
    const facts: ProcessFacts = {
      startTicks,
      parentPid,
      executable: program.executable,
      executableDeleted: program.deleted,
      executableMemfd: program.memfd,
      executableSetuid: program.setuid,
      executableAge,
      filename: program.filename,
      script: program.script,
      args,
      argsTruncated: (first & bit.argsTruncated) !== 0,
      cwd: place.cwd,
      uid: place.uid,
      realUid: place.realUid,
      gid: place.gid,
      loginUid: place.loginUid,
      sessionId: place.sessionId,
      tty: place.tty,
      cgroup: place.cgroup,
      device: program.device,
      inode: program.inode,
      mountNamespace: place.mountNamespace,
      pidNamespace: place.pidNamespace,
      userMounts: place.userMounts,
    };
    return program.comm === undefined ? facts : withComm(facts, program.comm);
  }

  private list(reference: number): readonly string[] | undefined {
    if (reference === 0) return undefined;
    const known = this.lists[reference];
    if (known !== undefined) return known;
    const text = this.texts[reference];
    if (text === undefined) throw undefinedReference();
    const list = text === "" ? [] : text.split("\0");
    if (list.length > 0 && list.pop() !== "") throw new Malformed("arguments do not end with a NUL");
    while (this.lists.length < reference) this.lists.push(undefined);
    this.lists[reference] = list;
    return list;
  }

  private addText(): void {
    const length = this.cursor.unsigned();
    this.textBytes += length;
    if (length > TEXT_LIMIT || this.textBytes > REMEMBERED_BYTES) throw tooMuch();
    add(this.texts, this.cursor.raw(length, decodeText));
  }

  private addProgram(): void {
    const { cursor } = this;
    const flags = cursor.byte();
    add(this.programs, {
      executable: this.text(),
      filename: this.text(),
      script: this.text(),
      comm: this.text(),
      deleted: threeWay(flags >> programBit.deleted),
      memfd: threeWay(flags >> programBit.memfd),
      setuid: threeWay(flags >> programBit.setuid),
      device: (flags & programBit.device) === 0 ? undefined : cursor.unsigned(),
      inode: (flags & programBit.inode) === 0 ? undefined : cursor.unsigned(),
    });
  }

  private addPlace(): void {
    const flags = this.cursor.unsigned();
    const cwd = this.text();
    const cgroup = this.text();
    const tty = this.text();
    const number = (present: number): number | undefined =>
      (flags & present) === 0 ? undefined : this.word();
    const uid = number(placeBit.uid);
    const realUid = number(placeBit.realUid);
    const gid = number(placeBit.gid);
    const loginUid = number(placeBit.loginUid);
    add(this.places, {
      cwd,
      cgroup,
      tty: (flags & placeBit.noTty) === 0 ? tty : null,
      uid,
      realUid,
      gid,
      loginUid: (flags & placeBit.noLoginUid) === 0 ? loginUid : null,
      sessionId: number(placeBit.sessionId),
      mountNamespace: number(placeBit.mountNamespace),
      pidNamespace: number(placeBit.pidNamespace),
      userMounts: threeWay(flags / placeBit.userMounts),
    });
  }

  private addUser(): void {
    const uid = this.word();
    const name = this.text();
    if (this.users.size >= REMEMBERED_TEXTS) throw tooMuch();
    if (name !== undefined) this.users.set(uid, name);
  }

  private forget(): void {
    this.texts.length = 1;
    this.lists.length = 0;
    this.programs.length = 0;
    this.places.length = 0;
    this.users.clear();
    this.textBytes = 0;
  }

  /** A text by its number; 0 is unknown. */
  private text(): string | undefined {
    const reference = this.cursor.unsigned();
    if (reference === 0) return undefined;
    const text = this.texts[reference];
    if (text === undefined) throw undefinedReference();
    return text;
  }

  private when(): number {
    this.time = within(this.time + this.cursor.signed(), "a time");
    return this.time;
  }

  private identity(): number {
    this.pid = pidOf(this.pid + this.cursor.signed());
    return this.pid;
  }

  private start(): number {
    this.startTicks = within(this.startTicks + this.cursor.signed(), "a start time");
    return this.startTicks;
  }

  private word(): number {
    const value = this.cursor.unsigned();
    if (value > 0xffff_ffff) throw new Malformed("a number is larger than 32 bits");
    return value;
  }

  private from(): SensorSource {
    if (this.source === undefined) throw new Malformed("an event has no known source");
    return this.source;
  }
}

function add<T>(list: T[], value: T): void {
  if (list.length > REMEMBERED_TEXTS) throw tooMuch();
  list.push(value);
}

function within(value: number, what: string): number {
  if (Math.abs(value) > TIME_LIMIT) throw new Malformed(`${what} is out of range`);
  return value;
}

function pidOf(value: number): number {
  if (value < 0 || value > PID_LIMIT) throw new Malformed("a pid is out of range");
  return value;
}

function threeWay(bits: number): boolean | undefined {
  const value = bits & 3;
  return value === 0 ? undefined : value === 2;
}

function undefinedReference(): Malformed {
  return new Malformed("an entry names what was not defined");
}

function tooMuch(): Malformed {
  return new Malformed("more is defined than a reader may remember");
}
