// Writes to standard output without blocking, because it may be a pipe that nobody reads. Lines without room are
// dropped and counted.
import { writeSync } from "node:fs";
import { isWritable } from "../linux/poll.ts";
import { codeOf } from "../linux/system-error.ts";
import type { EventRecord } from "../report/event-record.ts";
import { prettyLine } from "../report/pretty.ts";
import { isAlarm } from "./alarms.ts";
import { isKeptRecord } from "./kept-records.ts";
import type { OutputKind } from "./output.ts";
import { ShownCounts } from "./shown-counts.ts";

/** pipe(7): a write of at most PIPE_BUF bytes to a pipe that poll(2) calls writable does not block. */
const PIECE = 4096;
/** As much as the warden's queue, so that all of it fits even if it arrives at once. */
const LIMIT = 8 << 20;
/** The share that any user can fill, with new trees say. The rest is for what a flood cannot push out of the journal. */
const COMMON_SHARE = 7 / 8;
const RETRY_MS = 10;

export const standardOutput: OutputKind<never> = {
  name: "standard output",
  signals: {},
  queue: "stdout",
  open({ options, followsAnother, onDrop }) {
    const { output, all, colour, config } = options;
    const showsAll = all || config.events === "all";
    if (output === "none") return undefined;
    const writer = new StandardOutput(() => onDrop(1));
    const counts = output === "pretty" ? new ShownCounts() : undefined;
    // A killed reporter may have left an incomplete line, so start with a new one.
    if (followsAnother) writer.write("\n");
    return {
      live: {
        takesBestEffort: showsAll && output !== "alerts",
        write(record) {
          counts?.add(record);
          const limit = isKeptRecord(record) ? LIMIT : LIMIT * COMMON_SHARE;
          if (output === "json") writer.write(`${JSON.stringify(record)}\n`, limit);
          else if (output === "alerts" ? isAlarm(record) : isForTerminal(record, showsAll))
            writer.write(prettyLine(record, colour), limit);
        },
        end(ms) {
          if (counts !== undefined) writer.write(counts.line());
          return writer.end(ms);
        },
      },
    };
  },
};

/**
 * A terminal shows no silenced verdict and no heartbeat. Among all execs, an exit or a new tree would be a second line for the same
 * program.
 */
function isForTerminal(record: EventRecord, showsAll: boolean): boolean {
  if (record["policy.outcome"] === "silenced" || record["event.name"] === "warden.heartbeat") return false;
  if (!showsAll) return true;
  const name = record["event.name"];
  return name !== "process.exit" && (name !== "tree.new" || record["sensor.source"] === "procfs");
}

class StandardOutput {
  private readonly onDrop: () => void;
  private waiting: Uint8Array[] = [];
  private bytes = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  /** `onDrop` is called for each dropped line. */
  constructor(onDrop: () => void) {
    this.onDrop = onDrop;
  }

  /** Writes a line, its newline included, or drops all of it if more than `limit` bytes would wait. */
  write(line: string, limit = LIMIT): void {
    if (this.closed) return;
    const bytes = new TextEncoder().encode(line);
    if (this.bytes + bytes.length > limit) {
      this.onDrop();
      return;
    }
    this.waiting.push(bytes);
    this.bytes += bytes.length;
    // The lines of one packet are written together.
    this.timer ??= setTimeout(() => this.flush(), 0);
  }

  /** Writes as much as possible without blocking; true if nothing is left. */
  flush(): boolean {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.bytes > 0) {
      const piece = this.take();
      const written = this.put(piece);
      if (written < piece.length) {
        const rest = piece.subarray(written);
        this.waiting.unshift(rest);
        this.bytes += rest.length;
        this.timer = setTimeout(() => this.flush(), RETRY_MS);
        return false;
      }
    }
    return true;
  }

  /** Writes all lines, but waits no longer than `ms` for a reader that is slower than they were made. */
  async end(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (!this.flush() && performance.now() < until) await Bun.sleep(RETRY_MS);
  }

  /** Takes whole lines up to PIPE_BUF, so that a kill between two writes cuts no line. Longer lines are split. */
  private take(): Uint8Array {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (size > 0 && size + next.length > PIECE) break;
      const part = next.subarray(0, PIECE);
      parts.push(part);
      size += part.length;
      if (part.length === next.length) this.waiting.shift();
      else this.waiting[0] = next.subarray(part.length);
    }
    this.bytes -= size;
    return Buffer.concat(parts);
  }

  private put(piece: Uint8Array): number {
    try {
      return isWritable(1) ? writeSync(1, piece) : 0;
    } catch (error) {
      if (codeOf(error) === "EAGAIN") return 0;
      // The reader has closed the pipe, so there is nothing to write for any more.
      this.closed = true;
      this.waiting = [];
      this.bytes = 0;
      return piece.length;
    }
  }
}
