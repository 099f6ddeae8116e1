// Replaces files atomically without waiting for the disk, which may take seconds under load: the runtime's threads do
// the work. The caller must run the event loop while `busy` is true.
import { writeFileAtomic, writeFileAtomicLater } from "../linux/files.ts";

/** Replaces the content of `path` with `text`; calls `failed` on an error. */
export type WriteFile = (path: string, text: string, failed: (error: unknown) => void) => void;

/** Writes synchronously, and so waits for the disk. */
export const writeNow: WriteFile = (path, text, failed) => {
  try {
    writeFileAtomic(path, text);
  } catch (error) {
    failed(error);
  }
};

/** Has `work`, which waits for the disk, done later; calls `failed` on an error. Work of one `key` that waits is replaced. */
export type DoLater = (key: string, work: () => Promise<void>, failed: (error: unknown) => void) => void;

interface Job {
  readonly work: () => Promise<void>;
  readonly failed: (error: unknown) => void;
}

export class AtomicFileWriter {
  /** The next write of each path. A later text replaces an earlier one. */
  private readonly waiting = new Map<string, Job>();
  private working = false;

  /** Replaces the content of `path` with `text` later. Readers see either the old content or the new one. */
  write(
    path: string,
    text: string,
    failed: (error: unknown) => void,
    survives: "crash" | "power loss" = "power loss",
  ): void {
    this.doLater(path, () => writeFileAtomicLater(path, text, survives), failed);
  }

  /** See `DoLater`. */
  doLater(key: string, work: () => Promise<void>, failed: (error: unknown) => void): void {
    this.waiting.set(key, { work, failed });
    if (!this.working) void this.work();
  }

  /** Whether writes are pending: call `runEventLoop` until they are done. */
  get busy(): boolean {
    return this.working;
  }

  /** Runs one turn of the event loop, without waiting. */
  async runEventLoop(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  /** Waits at most `ms` until all writes are done. */
  async settle(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (this.working && performance.now() < end) await Bun.sleep(1);
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let [next] = this.waiting; next !== undefined; [next] = this.waiting) {
      const [key, { work, failed }] = next;
      this.waiting.delete(key);
      try {
        await work();
      } catch (error) {
        failed(error);
      }
    }
    this.working = false;
  }
}
