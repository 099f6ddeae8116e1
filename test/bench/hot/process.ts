// The benchmark's processes, as the parent has them.
import { join } from "node:path";
import type { Round } from "./worker.ts";

const root = join(import.meta.dir, "../../..");
const script = "test/bench/hot/worker.ts";

/** What a process differs in from the source as it is here. */
export interface Variant {
  /** A trial's name: without that cache. */
  readonly without?: string;
  /** Another checkout of the repository. */
  readonly checkout?: string;
  /** False: it collects no garbage, and shows in its memory what it allocates. */
  readonly collects?: boolean;
}

/** A process that runs a stream in rounds. */
export class HotProcess implements Disposable {
  private readonly child: Bun.Subprocess;
  private answered: ((answer: unknown) => void) | undefined;
  private readonly ready: Promise<unknown>;

  /** Over the stream in the file at `stream`. */
  constructor(stream: string, { without, checkout = root, collects = true }: Variant = {}) {
    this.ready = this.answer();
    const args = [join(checkout, script), stream, ...(without === undefined ? [] : [without])];
    this.child = Bun.spawn([process.execPath, ...args], {
      // One thread compiles, collects garbage and is measured: on a busy machine others would come late, and code would
      // stay uncompiled for long.
      env: {
        ...process.env,
        BUN_JSC_useConcurrentJIT: "0",
        BUN_JSC_useConcurrentGC: "0",
        BUN_JSC_numberOfGCMarkers: "1",
        ...(collects ? {} : { BUN_JSC_useGC: "0" }),
      },
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => this.answered?.(message),
      onExit: () => this.answered?.(undefined),
    });
  }

  /** Runs the stream's next `execs` execs. */
  async round(execs: number): Promise<Round> {
    await this.ready;
    const answer = this.answer();
    this.child.send(execs);
    const value: unknown = await answer;
    if (!isRound(value)) throw new Error("the process of a round did not answer with one");
    return value;
  }

  private answer(): Promise<unknown> {
    return new Promise((resolve) => {
      this.answered = resolve;
    });
  }

  [Symbol.dispose](): void {
    this.child.disconnect();
  }
}

function isRound(value: unknown): value is Round {
  return typeof value === "object" && value !== null && "cpuMicroseconds" in value;
}
