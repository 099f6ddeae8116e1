// Where, when and how a capture was made: its first line.
import * as v from "valibot";
import type { Line } from "./blocks.ts";
import { Malformed, time } from "./line-values.ts";

/** Version 1 was binary. It rises when a reader of an earlier version would read something wrong. */
export const VERSION = 2;

export interface CaptureHeader {
  /** Version of the treewarden that made it. */
  readonly treewarden: string;
  /** `warden`: with all that decides, so that a replay gives the warden's own verdicts. `record`: the events alone. */
  readonly madeBy: "warden" | "record";
  /** Secrets in arguments, the host's name and the names of its people were replaced. */
  readonly redacted: boolean;
  readonly hostName: string;
  /** uname -r */
  readonly kernel: string;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** Milliseconds since the epoch at which start ticks are 0. */
  readonly bootTimeMs: number;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC at the start, ns. */
  readonly wallOffset: number;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC at the start, ns. */
  readonly suspended: number;
  /** The sensor at the start. */
  readonly source: string;
  /** `enforcement` of the configuration; absent where nothing is enforced. */
  readonly enforcement?: string;
  /** Bytes of arguments that were read of each exec. */
  readonly argumentsLimit: number;
}

const text = v.pipe(v.string(), v.maxLength(1024));
const nanoseconds = v.pipe(
  v.unknown(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return time.read(dataset.value, "a clock");
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      addIssue({ message: error.message });
      return NEVER;
    }
  }),
);

const schema = v.pipe(
  v.object({
    "capture.treewarden": text,
    "capture.made_by": v.picklist(["warden", "record"]),
    "capture.redacted": v.boolean(),
    "host.name": text,
    "host.kernel": text,
    "host.boot_id": text,
    "host.boot_time_ms": v.number(),
    "clock.wall_offset": nanoseconds,
    "clock.suspended": nanoseconds,
    "sensor.source": text,
    "policy.enforcement": v.optional(text),
    "arguments.limit": v.number(),
  }),
  v.transform(
    (line): CaptureHeader => ({
      treewarden: line["capture.treewarden"],
      madeBy: line["capture.made_by"],
      redacted: line["capture.redacted"],
      hostName: line["host.name"],
      kernel: line["host.kernel"],
      bootId: line["host.boot_id"],
      bootTimeMs: line["host.boot_time_ms"],
      wallOffset: line["clock.wall_offset"],
      suspended: line["clock.suspended"],
      source: line["sensor.source"],
      ...(line["policy.enforcement"] === undefined ? {} : { enforcement: line["policy.enforcement"] }),
      argumentsLimit: line["arguments.limit"],
    }),
  ),
);

/** The fields of the first line, its version the first of them. */
export function headerLine(header: CaptureHeader): Line {
  return {
    "capture.version": VERSION,
    "capture.treewarden": header.treewarden,
    "capture.made_by": header.madeBy,
    "capture.redacted": header.redacted,
    "host.name": header.hostName,
    "host.kernel": header.kernel,
    "host.boot_id": header.bootId,
    "host.boot_time_ms": header.bootTimeMs,
    "clock.wall_offset": time.write(header.wallOffset),
    "clock.suspended": time.write(header.suspended),
    "sensor.source": header.source,
    "policy.enforcement": header.enforcement,
    "arguments.limit": header.argumentsLimit,
  };
}

/** The header in a first line of this version; undefined if it is none. */
export function parseHeader(line: Line): CaptureHeader | undefined {
  const result = v.safeParse(schema, line);
  return result.success ? result.output : undefined;
}
