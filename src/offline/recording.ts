// `treewarden record` without a warden: what a sensor reports, straight into a capture. Nothing is judged.
import type { BaseSystem } from "../fingerprint/base.ts";
import { bootTimeMs, monotonicNow, suspendedFor, wallClockOffset } from "../linux/clock.ts";
import type { CaptureFile } from "../sensor/capture/capture-file.ts";
import { type CaptureRedaction, CaptureWriter } from "../sensor/capture/capture-writer.ts";
import type { CaptureHeader } from "../sensor/capture/header.ts";
import type { Sensor } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { formatBase } from "../warden/base-file.ts";
import { captureHeader } from "../warden/capture-header.ts";
import { captureTexts } from "../warden/capture-texts.ts";
import { scanLiveProcesses } from "../warden/live-scan.ts";
import { Rescan } from "../warden/rescan.ts";
import { readUserNames } from "../warden/user-names.ts";
import { type Follower, followEvents } from "./follow-events.ts";

export interface RecordingOptions {
  readonly sensor: Sensor;
  /** For looks at all of /proc; null where the events are not this host's present. */
  readonly reader: FactsReader | null;
  readonly file: CaptureFile;
  /** By which programs have their names. */
  readonly base: BaseSystem;
  /** Bytes of arguments that the sensor reads. */
  readonly argumentsLimit: number;
  /** undefined: everything is kept as it is. */
  readonly redaction: CaptureRedaction | undefined;
  /** Nanoseconds after which it ends; undefined: only a signal ends it. */
  readonly forNs: number | undefined;
  /** Called now and then, at most once a second. */
  readonly progress: (so_far: Recorded) => void;
}

export interface Recorded {
  readonly events: number;
  readonly bytes: number;
  /** Number of losses that the source reported. */
  readonly losses: number;
  readonly seconds: number;
}

/** What a kill -9 can cost; on an idle host nothing waits and nobody is woken. */
const FLUSH_NS = 1e9;

/** Records until its time is over or a signal ends it; the capture is complete then. Throws if the source or the disk fails. */
export function runRecording(options: RecordingOptions): Recorded {
  const { sensor, reader, file } = options;
  const start = monotonicNow();
  const writer = new CaptureWriter(
    (frame) => file.write(frame),
    headerNow(options),
    readUserNames(),
    options.redaction,
  );
  for (const _part of writer.text(captureTexts.base, formatBase(options.base)));
  const end = options.forNs === undefined ? Number.POSITIVE_INFINITY : start + options.forNs;
  let losses = 0;
  let flushAt = start + FLUSH_NS;
  const soFar = (): Recorded => {
    const seconds = (monotonicNow() - start) / 1e9;
    return { events: writer.events, bytes: writer.bytes, losses, seconds };
  };
  const rescan = new Rescan();
  const follower: Follower = {
    scan:
      reader === null
        ? null
        : (time) => {
            writer.scan(scanLiveProcesses(reader), time);
            writer.add("scan_end", { kind: "scan_end" });
          },
    drain: () => {
      writer.clock(wallClockOffset(), suspendedFor());
      sensor.drain((event) => {
        if (event.kind === "loss") {
          losses += 1;
          rescan.want(monotonicNow());
        }
        writer.event(event);
      });
    },
    nextDeadline: () => (writer.isPending ? Math.min(end, flushAt) : end),
    afterTurn: (ready) => {
      const now = monotonicNow();
      if (writer.isPending && now >= flushAt) {
        writer.flush();
        options.progress(soFar());
        flushAt = now + FLUSH_NS;
      }
      // A file is read to its end, however short the time; what is live never ends.
      return now < end || (ready > 0 && reader === null);
    },
  };
  try {
    followEvents(sensor, rescan, follower);
  } catch (error) {
    // Without its last block: a replay reports that it was cut.
    writer.flush();
    throw error;
  }
  writer.end();
  file.sync();
  return soFar();
}

function headerNow({ sensor, argumentsLimit, redaction }: RecordingOptions): CaptureHeader {
  return captureHeader({
    madeBy: "record",
    redacted: redaction !== undefined,
    bootTimeMs: bootTimeMs(),
    source: sensor.source,
    argumentsLimit,
  });
}
