// What a warden leaves for the successor that replaces it, so that each event is handled by one of the two, once. Both
// have opened a source of events; the time of an event decides whose it is. A loss is of the source that reports it, and
// its time is when it was noticed, so that it belongs to the warden of that source and says nothing about other events.
import { rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { ProcessEvent } from "../sensor/event.ts";
import { count, parseJson } from "../vocabulary/parse-json.ts";
import { writeNow } from "./atomic-file-writer.ts";

const FILE = "handover.json";
/** In bytes. The forest of 30,000 processes is some 20 MB. */
const FILE_LIMIT = 256 << 20;
/** Two programs that the kernel runs for one event take their times one after the other: this far apart at most, ns. */
const SAME_EVENT_NS = 1e6;

const saved = v.strictObject({
  version: v.literal(1),
  /** The run of both wardens. */
  run: v.string(),
  /** The time up to which the first one has handled every event; ns, CLOCK_MONOTONIC. */
  until: count,
  /** The events that it has handled shortly before that time, see `nameOf`. */
  recent: v.array(v.string()),
  /** Its forest, see `snapshotForest`. */
  forest: v.string(),
});
export type Handover = Readonly<Omit<v.InferOutput<typeof saved>, "version">>;

/** Writes it, and waits for that. Without the file the successor scans /proc, as after a crash. */
export function leaveHandover(stateDirectory: string, handover: Handover): void {
  writeNow(join(stateDirectory, FILE), JSON.stringify({ version: 1, ...handover }), () => undefined);
}

/** Removes what a warden of this run has left, and returns it; undefined if there is nothing. */
export function takeHandover(stateDirectory: string, run: string): Handover | undefined {
  const path = join(stateDirectory, FILE);
  const bytes = readCheckedFileOrNothing(path, stateFile(FILE_LIMIT));
  if (bytes === undefined) return undefined;
  rmSync(path, { force: true });
  const parsed = parseJson(saved, bytes.toString("utf8"));
  return parsed?.run === run ? parsed : undefined;
}

/** The last events of the warden that is replaced. */
export class EventsUntil {
  readonly until: number;
  readonly recent: string[] = [];
  /** An event arrived that is the successor's. */
  isPassed = false;

  /** `until`: ns, CLOCK_MONOTONIC; not before any event that was handled. */
  constructor(until: number) {
    this.until = until;
  }

  /** Whether the event is to be handled here. */
  takes(event: ProcessEvent): boolean {
    if (event.kind === "loss") return true;
    if (event.time > this.until) {
      this.isPassed = true;
      return false;
    }
    if (event.time > this.until - SAME_EVENT_NS) this.recent.push(nameOf(event));
    return true;
  }
}

/** The first events of the successor. */
export class EventsAfter {
  private readonly until: number;
  private readonly recent: string[];
  /** From now on every event is the successor's. */
  isOver = false;

  constructor({ until, recent }: Pick<Handover, "until" | "recent">) {
    this.until = until;
    this.recent = [...recent];
  }

  /** Whether the event is to be handled here. */
  takes(event: ProcessEvent): boolean {
    if (event.kind === "loss") return true;
    if (event.time <= this.until) return false;
    if (event.time > this.until + SAME_EVENT_NS) {
      this.isOver = true;
      return true;
    }
    const handled = this.recent.indexOf(nameOf(event));
    if (handled < 0) return true;
    this.recent.splice(handled, 1);
    return false;
  }
}

/** The kind of an event, and of which process it is. */
function nameOf(event: ProcessEvent): string {
  return `${event.kind} ${"pid" in event ? event.pid : ""}`;
}
