// Writes files whole without waiting for the disk, which may take seconds under load: the runtime's own threads do it.
// Its event loop has to turn for that, and turns only while something is on its way.
import { writeFileAtomic, writeFileAtomicLater } from "../linux/files.ts";

/** Makes `text` the whole of `path`; if that fails, `failed` is called. */
export type WriteFile = (path: string, text: string, failed: (error: unknown) => void) => void;

/** Waits for the disk. */
export const writeNow: WriteFile = (path, text, failed) => {
  try {
    writeFileAtomic(path, text);
  } catch (error) {
    failed(error);
  }
};

interface Job {
  readonly text: string;
  readonly failed: (error: unknown) => void;
  readonly survives: "crash" | "power loss";
}

export class AtomicFileWriter {
  /** By path: what is to be written next; a later text takes an earlier one's place. */
  private readonly waiting = new Map<string, Job>();
  private working = false;

  /** Makes `text` the whole of `path`, some time; a reader finds the old content or the new one. */
  write(
    path: string,
    text: string,
    failed: (error: unknown) => void,
    survives: Job["survives"] = "power loss",
  ): void {
    this.waiting.set(path, { text, failed, survives });
    if (!this.working) void this.work();
  }

  /** Something is on its way: `turn` until it is not. */
  get busy(): boolean {
    return this.working;
  }

  /** Lets the runtime's event loop turn once, without waiting. */
  async runEventLoop(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Waits until all is written, for at most `ms`. */
  async settle(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (this.working && performance.now() < end) await Bun.sleep(1);
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let [next] = this.waiting; next !== undefined; [next] = this.waiting) {
      const [path, { text, failed, survives }] = next;
      this.waiting.delete(path);
      try {
        await writeFileAtomicLater(path, text, survives);
      } catch (error) {
        failed(error);
      }
    }
    this.working = false;
  }
}
