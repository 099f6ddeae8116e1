// A sensor that reports, beside the events of the kernel, those of a stream of records that another process writes into a
// named pipe. `npm run bench:week` compiles it into an executable of its own, in the place of the eBPF sensor.
import { constants, openSync } from "node:fs";
import { monotonicNow, realtimeNow } from "../../../src/linux/clock.ts";
import { readDescriptor } from "../../../src/linux/descriptor.ts";
import { EPOLLIN, Poll } from "../../../src/linux/epoll.ts";
import { Decoder } from "../../../src/sensor/ebpf/decode.ts";
import type { ProcessEvent, Sensor } from "../../../src/sensor/event.ts";
import { HEAD, PIPE_BYTES, setTime } from "./frames.ts";

/** Puts a stream beside `live`, whose methods it has otherwise. */
export function withRecordedStream(live: Sensor, path: string): Sensor {
  const poll = new Poll(2);
  // With a writer of its own: at the end of the stream the pipe is empty, not closed, and the warden gets to rest.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  poll.add(live.fd, 0, EPOLLIN);
  poll.add(fd, 1, EPOLLIN);
  const stream = new RecordedStream(fd);
  return {
    source: live.source,
    fd: poll.fd,
    drain(sink) {
      live.drain(sink);
      stream.drain(sink);
    },
    setWakeupPolicy: (policy) => live.setWakeupPolicy?.(policy),
    settle: (event) => void live.settle?.(event),
    readEnvironment: (on) => live.readEnvironment?.(on),
    setEpoch: (epoch) => live.setEpoch?.(epoch),
    [Symbol.dispose]: () => live[Symbol.dispose](),
  };
}

/** As `live` on a host where nothing starts: its programs run, and nothing reads what they write. */
export function withoutEvents(live: Sensor): Sensor {
  return {
    source: live.source,
    fd: new Poll(1).fd,
    drain: () => undefined,
    findTampering: () => live.findTampering?.(),
    watchSignals: (pids, sink) => live.watchSignals?.(pids, sink),
    [Symbol.dispose]: () => live[Symbol.dispose](),
  };
}

class RecordedStream {
  private readonly fd: number;
  private readonly decoder = new Decoder({ audit: true, cgroups: true });
  private readonly bytes = new Uint8Array(new ArrayBuffer(2 * PIPE_BYTES));
  private readonly words = new Uint32Array(this.bytes.buffer);
  private length = 0;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** One read: what a pipe holds. */
  drain(sink: (event: ProcessEvent) => void): void {
    const { bytes, words, decoder } = this;
    const got = readDescriptor(this.fd, bytes.subarray(this.length, this.length + PIPE_BYTES));
    if (got <= 0) return;
    this.length += got;
    const now = monotonicNow();
    decoder.realtime = realtimeNow() - now;
    let at = 0;
    while (at + HEAD <= this.length) {
      const end = at + HEAD + (words[at >>> 2] ?? 0);
      if (end > this.length) break;
      setTime(words, at + HEAD, now);
      decoder.decode(bytes, words, at + HEAD, end, sink);
      at = end;
    }
    bytes.copyWithin(0, at, this.length);
    this.length -= at;
  }
}
