// The benchmark's processes, as the parent has them.
import { join } from "node:path";
import type { Round } from "./worker.ts";

const script = join(import.meta.dir, "worker.ts");

/** A process that runs a stream in rounds. */
export class HotProcess implements Disposable {
  private readonly child: Bun.Subprocess;
  private answered: ((answer: unknown) => void) | undefined;
  private readonly ready: Promise<unknown>;

  /** `collects`: it collects garbage; a process that does not shows in its memory what it allocates. */
  constructor(stream: string, without: string | undefined, collects = true) {
    this.ready = this.answer();
    this.child = Bun.spawn([process.execPath, script, stream, ...(without === undefined ? [] : [without])], {
      // One thread collects garbage, the one that makes it: its time is part of what is measured.
      env: {
        ...process.env,
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
