// The `record` command while a warden runs: the warden makes the capture, and this takes it from a pipe into the file.
import { mkdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { pipeName, REQUEST_FOLDER } from "../baseline/warden-request.ts";
import { monotonicNow } from "../linux/clock.ts";
import { closeDescriptor, readDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { makeFifo, openFifoToRead } from "../linux/fifo.ts";
import { SignalDescriptor } from "../linux/signalfd.ts";
import type { CaptureFile } from "../sensor/capture/capture-file.ts";
import { endingSignals, timeoutMs } from "./follow-events.ts";

const PIPE = 1;
const SIGNALS = 2;
/** How long the warden may take to begin, and to end: it may be reading a large baseline. */
const ANSWER_NS = 10e9;
const CHUNK_BYTES = 64 * 1024;
/** Between two reports of progress. */
const PROGRESS_NS = 1e9;

/** The pipe that the warden is asked to write into. */
export class CaptureInbox implements Disposable {
  readonly name = pipeName(Date.now(), Math.random() * 2 ** 32);
  readonly fd: number;
  private readonly path: string;

  /** Throws as node:fs does. */
  constructor(stateDirectory: string) {
    const folder = join(stateDirectory, REQUEST_FOLDER);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.path = join(folder, this.name);
    makeFifo(this.path);
    this.fd = openFifoToRead(this.path);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
    try {
      unlinkSync(this.path);
    } catch {
      // The warden has removed it.
    }
  }
}

export interface ReceiveOptions {
  readonly inbox: CaptureInbox;
  readonly file: CaptureFile;
  /** Nanoseconds after which it ends; undefined: only a signal ends it. */
  readonly forNs: number | undefined;
  /** Asks the warden to end the capture. */
  readonly stop: () => void;
  /** Called with the bytes so far, at most once a second. */
  readonly progress: (bytes: number) => void;
}

/** Why nothing more came. */
export type Received = "ended" | "no answer";

/** Copies what the warden writes until it closes the pipe. Throws if the file cannot be written. */
export function receiveCapture({ inbox, file, forNs, stop, progress }: ReceiveOptions): Received {
  using poll = new Poll();
  using signals = new SignalDescriptor(endingSignals);
  poll.add(inbox.fd, PIPE, EPOLLIN);
  poll.add(signals.fd, SIGNALS, EPOLLIN);
  const chunk = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
  const start = monotonicNow();
  let end = forNs === undefined ? Number.POSITIVE_INFINITY : start + forNs;
  let answerBy = start + ANSWER_NS;
  let isStopping = false;
  let bytes = 0;
  let progressAt = 0;
  for (;;) {
    const ready = poll.wait(timeoutMs(Math.min(end, answerBy) - monotonicNow()));
    const now = monotonicNow();
    for (let i = 0; i < ready; i++) {
      if (poll.tokens[i] === SIGNALS) end = now;
      else if (poll.tokens[i] === PIPE) {
        const got = readDescriptor(inbox.fd, chunk);
        if (got === 0) return "ended";
        if (got > 0) file.write(chunk.subarray(0, got));
        bytes += Math.max(0, got);
        if (!isStopping) answerBy = Number.POSITIVE_INFINITY;
      }
    }
    if (now >= progressAt && bytes > 0) {
      progress(bytes);
      progressAt = now + PROGRESS_NS;
    }
    if (now >= end) {
      stop();
      isStopping = true;
      end = Number.POSITIVE_INFINITY;
      answerBy = now + ANSWER_NS;
    }
    if (now >= answerBy) return "no answer";
  }
}
