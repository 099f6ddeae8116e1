// `treewarden record`: what a source tells, straight into a capture. Nothing is judged, so nothing is decoded twice.
import { hostname, release } from "node:os";
import { boottimeNow, monotonicNow, realtimeNow, wallClockOffset } from "../linux/clock.ts";
import { bootId } from "../linux/process.ts";
import { version } from "../report/version.ts";
import type { CaptureFile } from "../sensor/capture/file.ts";
import type { CaptureHeader } from "../sensor/capture/format.ts";
import { CaptureWriter } from "../sensor/capture/write.ts";
import type { Sensor } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanLive } from "../warden/live-scan.ts";
import { Rescan } from "../warden/rescan.ts";
import { readUserNames } from "../warden/user-names.ts";
import { type Follower, followEvents } from "./follow-events.ts";

export interface RecordingOptions {
  readonly sensor: Sensor;
  /** For looks at all of /proc; null where the events are not this host's present. */
  readonly reader: FactsReader | null;
  readonly file: CaptureFile;
  /** Nanoseconds after which it ends; undefined: only a signal ends it. */
  readonly forNs: number | undefined;
  /** Called now and then, at most once a second. */
  readonly progress: (so_far: Recorded) => void;
}

export interface Recorded {
  readonly events: number;
  readonly bytes: number;
  /** Losses that the source told of. */
  readonly losses: number;
  readonly seconds: number;
}

/** What a kill -9 can cost; on an idle host nothing waits and nobody is woken. */
const FLUSH_NS = 1e9;

/** Records until its time is over or a signal ends it; the capture is complete then. Throws if the source or the disk fails. */
export function runRecording(options: RecordingOptions): Recorded {
  const { sensor, reader, file } = options;
  const start = monotonicNow();
  const writer = new CaptureWriter((bytes) => file.write(bytes), headerNow(), readUserNames());
  const end = options.forNs === undefined ? Number.POSITIVE_INFINITY : start + options.forNs;
  let losses = 0;
  let flushAt = start + FLUSH_NS;
  const soFar = (): Recorded => {
    const seconds = (monotonicNow() - start) / 1e9;
    return { events: writer.events, bytes: writer.bytes, losses, seconds };
  };
  const rescan = new Rescan();
  const follower: Follower = {
    scan: reader === null ? null : (time) => writer.scan(scanLive(reader), time),
    drain: () => {
      writer.clock(wallClockOffset());
      sensor.drain((event) => {
        if (event.kind === "loss") {
          losses += 1;
          rescan.want(monotonicNow());
        }
        writer.event(event);
      });
    },
    nextDeadline: () => (writer.pending ? Math.min(end, flushAt) : end),
    afterTurn: (ready) => {
      const now = monotonicNow();
      if (writer.pending && now >= flushAt) {
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
    // Without its last block: a replay says that it was cut.
    writer.flush();
    throw error;
  }
  writer.finish();
  file.sync();
  return soFar();
}

function headerNow(): CaptureHeader {
  const monotonic = monotonicNow();
  const boottime = boottimeNow();
  const realtime = realtimeNow();
  return {
    treewarden: version,
    boot_id: bootId(),
    boot_time_ms: Math.round((realtime - boottime) / 1e6),
    wall_offset_ns: realtime - monotonic,
    suspended_ns: Math.max(0, boottime - monotonic),
    host_name: hostname(),
    kernel: release(),
  };
}
