// A capture that the warden makes while it works: everything that its verdicts depend on, each at its place among the
// events, so that a replay decides the same. The file is the `record` command's; the warden writes into a pipe that the
// command has made in the folder of requests, and so opens nothing outside its own folders and never waits for a disk.
import { closeSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { REQUEST_FOLDER } from "../baseline/warden-request.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { openRootFifoToWrite } from "../linux/fifo.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { EndReason } from "../sensor/capture/blocks.ts";
import { type CaptureRedaction, CaptureWriter } from "../sensor/capture/capture-writer.ts";
import type { CaptureHeader } from "../sensor/capture/header.ts";
import type { ChangedItem, ContainerItem, PeerItem } from "../sensor/capture/items.ts";
import type { ProcessEvent, ProcessFacts, ScannedProcess } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { withoutHosts } from "./capture-header.ts";
import { CapturePipe } from "./capture-pipe.ts";
import { captureTexts, isBaseline } from "./capture-texts.ts";
import type { Epoch, EpochReason } from "./epoch.ts";

/** A text on which verdicts depend, and its name in captures. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

export interface WardenCaptureInputs {
  readonly stateDirectory: string;
  readonly epoch: Epoch;
  readonly header: (redacted: boolean) => CaptureHeader;
  /** For captures that leave the host. */
  readonly redaction: CaptureRedaction;
  /** By which the warden judges now, see ClockItem. */
  readonly clocks: () => { readonly wallOffset: number; readonly suspended: number };
  readonly userName: (uid: number) => string | undefined;
  readonly base: () => string;
  readonly policy: () => string;
  readonly exclusions: () => string;
  /** Baselines in force, and last the list of their names; undefined if what is in force cannot be read any more. */
  readonly baselines: () => readonly NamedText[] | undefined;
  readonly forest: () => string;
  /** Records a change of treewarden's own. */
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

/** What a kill -9 can cost: ns. */
const FLUSH_NS = 1e9;
/** While the pipe is full it is tried again after this long: ns. */
const RETRY_NS = 5e6;
/** How long the end of the warden waits for the reader of the pipe: ms. */
const LAST_FLUSH_MS = 200;
/** Answers remembered as written; then all are written again when they are next needed. */
const ANSWERS_LIMIT = 65_536;

interface Recording {
  readonly name: string;
  readonly pipe: CapturePipe;
  readonly writer: CaptureWriter;
  /** Writes what decides, a part each time; undefined once events are captured. */
  preparing: Generator<void, void, void> | undefined;
  /** What changed while it was being prepared. */
  readonly changed: Set<EpochReason>;
  /** By file: the answer that was written last. */
  readonly examined: Map<string, ExaminedFile>;
  readonly containers: Map<string, Omit<ContainerItem, "kind" | "id">>;
  /** When the block that is being filled is closed: ns, CLOCK_MONOTONIC. */
  flushAt: number;
  /** The last block is written, and only the pipe has to take it. */
  ended: boolean;
}

/** At most one capture at a time. */
export class WardenCapture {
  private readonly inputs: WardenCaptureInputs;
  private recording: Recording | undefined;

  constructor(inputs: WardenCaptureInputs) {
    this.inputs = inputs;
    inputs.epoch.onRaise((_epoch, reason) => this.onRaise(reason));
  }

  /** Begins a capture into the pipe of this name in the folder of requests. */
  start(pipeName: string, redacted: boolean, now: number): void {
    const { stateDirectory, header, userName, recordChange } = this.inputs;
    const path = join(stateDirectory, REQUEST_FOLDER, pipeName);
    const fd = openRootFifoToWrite(path);
    try {
      unlinkSync(path);
    } catch {
      // The command that made it has ended.
    }
    if (fd === undefined) return;
    if (this.recording !== undefined) {
      // The pipe ends before its first byte: the command says what that means.
      closeSync(fd);
      recordChange("capture.refused", { "capture.reason": "another capture is being made" });
      return;
    }
    const pipe = new CapturePipe(fd);
    const redaction = redacted ? this.inputs.redaction : undefined;
    const writer = new CaptureWriter((frame) => pipe.add(frame), header(redacted), userName, redaction);
    this.recording = {
      name: pipeName,
      pipe,
      writer,
      preparing: this.prepare(writer),
      changed: new Set(),
      examined: new Map(),
      containers: new Map(),
      flushAt: now + FLUSH_NS,
      ended: false,
    };
    recordChange("capture.started", { "capture.redacted": redacted });
  }

  /** Ends the capture into the pipe of this name, if that is the one that is being made. */
  stop(pipeName: string): void {
    if (this.recording?.name === pipeName) this.end("complete");
  }

  /** Nanoseconds from `now` until there is something to do; undefined if there is nothing. */
  dueIn(now: number): number | undefined {
    const { recording } = this;
    if (recording === undefined) return undefined;
    if (!recording.pipe.isEmpty || recording.ended) return RETRY_NS;
    if (recording.preparing !== undefined) return 0;
    return recording.writer.isPending ? Math.max(0, recording.flushAt - now) : undefined;
  }

  /**
   * Does what is due, in less than a millisecond; to be called at every turn of the loop. `begun`: events are captured
   * from here on, and the caller scans /proc, so that the capture has all that runs.
   */
  work(now: number): "begun" | undefined {
    const { recording } = this;
    if (recording === undefined) return undefined;
    const { pipe, writer } = recording;
    // No faster than the reader takes it: a baseline may be larger than what may wait.
    const isPrepared = pipe.isEmpty && recording.preparing?.next().done === true;
    if (isPrepared) this.begin(recording);
    if (!recording.ended && now >= recording.flushAt) {
      writer.flush();
      recording.flushAt = now + FLUSH_NS;
    }
    pipe.flush();
    if (pipe.isBroken) {
      this.close("the record command has ended");
    } else if (pipe.isFull && !recording.ended) {
      this.end("overrun");
    } else if (pipe.isEmpty && recording.ended) {
      this.close(undefined);
    }
    return isPrepared && this.active !== undefined ? "begun" : undefined;
  }

  /** The warden ends: what the pipe takes soon is not lost. */
  shutdown(): void {
    this.end("stopped");
    const end = performance.now() + LAST_FLUSH_MS;
    while (this.recording !== undefined && performance.now() < end) {
      this.work(0);
      if (this.recording !== undefined) Bun.sleepSync(1);
    }
    this.close("the warden has ended");
  }

  /** After the warden has handled it: what it asked for on the way comes before it. */
  event(event: ProcessEvent): void {
    this.active?.writer.event(event);
  }

  /** After the warden has reconciled its forest with it. */
  scan(processes: readonly ScannedProcess[], time: number): void {
    this.active?.writer.scan(processes, time);
  }

  /** What the last scan did not find has ended. */
  scanEnd(): void {
    this.active?.writer.add("scan_end", { kind: "scan_end" });
  }

  clock(wallOffset: number, suspended: number): void {
    this.active?.writer.clock(wallOffset, suspended);
  }

  processStart(pid: number, startTicks: number): void {
    this.active?.writer.add("process_start", { kind: "process_start", pid, startTicks });
  }

  /** What the warden judges by: the examiner's answer about the file of a process. */
  examined(facts: ProcessFacts, answer: ExaminedFile | undefined): void {
    const { active } = this;
    const { executable: path, device, inode } = facts;
    if (active === undefined || path === undefined || device === undefined || inode === undefined) return;
    const key = `${device}:${inode}:${path}`;
    const before = active.examined.get(key);
    if (before === answer || (before !== undefined && answer !== undefined && isSame(before, answer))) return;
    if (answer === undefined) active.examined.delete(key);
    else this.keep(active, active.examined, "examined", key, answer);
    const examined = answer && withoutDigest(answer);
    active.writer.add("examined", { kind: "examined", path, device, inode, examined });
  }

  /** What the warden judges by: image and pod of a container. */
  container(id: string, image: ContainerItem["image"], pod: ContainerItem["pod"]): void {
    const { active } = this;
    if (active === undefined) return;
    const before = active.containers.get(id);
    if (before?.image === image && before?.pod === pod) return;
    if (image === undefined) active.containers.delete(id);
    else this.keep(active, active.containers, "containers", id, { image, pod });
    active.writer.add("container", { kind: "container", id, image, pod });
  }

  /** What the warden judges by: whether what an exec runs holds what was accepted, see ChangedItem. */
  changed(answer: Omit<ChangedItem, "kind">): void {
    this.active?.writer.add("changed", { kind: "changed", ...answer });
  }

  /** What the warden judges by: name and knowledge of a peer, see PeerItem. */
  peer(answer: Omit<PeerItem, "kind">): void {
    this.active?.writer.add("peer", { kind: "peer", ...answer });
  }

  /** The capture, if events are being captured. */
  private get active(): Recording | undefined {
    const { recording } = this;
    return recording === undefined || recording.preparing !== undefined || recording.ended
      ? undefined
      : recording;
  }

  private keep<T>(
    { writer }: Recording,
    answers: Map<string, T>,
    what: "examined" | "containers",
    key: string,
    answer: T,
  ): void {
    if (answers.size >= ANSWERS_LIMIT) {
      answers.clear();
      writer.add("forget", { kind: "forget", what });
    }
    answers.set(key, answer);
  }

  private *prepare(writer: CaptureWriter): Generator<void, void, void> {
    const { base, policy, exclusions } = this.inputs;
    yield* writer.text(captureTexts.base, base());
    yield;
    yield* writer.text(captureTexts.policy, policy());
    yield;
    yield* writer.text(captureTexts.exclusions, exclusions());
    yield;
    yield* this.writeBaselines(writer);
  }

  private *writeBaselines(writer: CaptureWriter): Generator<void, void, void> {
    const texts = this.inputs.baselines();
    if (texts === undefined) {
      this.end("refused");
      return;
    }
    for (const { name, text } of texts) {
      yield* writer.text(name, writer.isRedacted && isBaseline(name) ? withoutHosts(text) : text);
      yield;
    }
  }

  /** Everything was written: from here on events follow. */
  private begin(recording: Recording): void {
    recording.preparing = undefined;
    if (recording.ended) return;
    const { writer } = recording;
    for (const reason of recording.changed) this.writeChange(writer, reason);
    const { wallOffset, suspended } = this.inputs.clocks();
    writer.clock(wallOffset, suspended);
    writeAll(writer.text(captureTexts.forest, this.inputs.forest()));
  }

  private onRaise(reason: EpochReason): void {
    const { recording } = this;
    if (recording === undefined || recording.ended) return;
    if (recording.preparing !== undefined) recording.changed.add(reason);
    else this.writeChange(recording.writer, reason);
  }

  private writeChange(writer: CaptureWriter, reason: EpochReason): void {
    const { base, policy, exclusions, userName } = this.inputs;
    switch (reason) {
      case "policy":
        writeAll(writer.text(captureTexts.policy, policy()));
        return;
      case "baseline":
        writeAll(this.writeBaselines(writer));
        return;
      case "exclusions":
      case "exclusion ended":
        writeAll(writer.text(captureTexts.exclusions, exclusions()));
        return;
      case "base system":
        writeAll(writer.text(captureTexts.base, base()));
        return;
      case "users":
        writer.renameUsers(userName);
        return;
      // A replay sees these by the answers that events were judged with; mounts change no verdict of user space.
      case "packages":
      case "container":
      case "mounts":
        return;
    }
  }

  private end(reason: EndReason): void {
    const { recording } = this;
    if (recording === undefined || recording.ended) return;
    recording.ended = true;
    recording.writer.end(reason);
    this.inputs.recordChange("capture.ended", {
      "capture.reason": reason,
      "capture.events": recording.writer.events,
    });
  }

  /** `why`: undefined if the capture is whole. */
  private close(why: string | undefined): void {
    const { recording } = this;
    if (recording === undefined) return;
    recording.pipe[Symbol.dispose]();
    this.recording = undefined;
    if (why !== undefined && !recording.ended)
      this.inputs.recordChange("capture.ended", {
        "capture.reason": why,
        "capture.events": recording.writer.events,
      });
  }
}

function writeAll(parts: Generator<void, void, void>): void {
  for (const _part of parts);
}

function isSame(one: ExaminedFile, other: ExaminedFile): boolean {
  return (
    one.package === other.package && one.unpackaged === other.unpackaged && one.modified === other.modified
  );
}

function withoutDigest({ digest: _digest, ...examined }: ExaminedFile): Omit<ExaminedFile, "digest"> {
  return examined;
}
