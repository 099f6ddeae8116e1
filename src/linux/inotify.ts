// inotify(7): wakes a poll when a file grows.
import { closeDescriptor, readDescriptor } from "./descriptor.ts";
import { bindLibc, checked } from "./libc.ts";
import { cString } from "./text.ts";

const libc = bindLibc({
  inotify_init1: { args: ["i32"], returns: "i32" },
  inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
});

// sys/inotify.h
const IN_MODIFY = 0x2;
const IN_NONBLOCK = 0x800;
const IN_CLOEXEC = 0x8_0000;

/** A watch that was created by `watchGrowth`, in this process or in the one that passed the descriptor. */
export class GrowthWatch implements Disposable {
  readonly fd: number;
  // The kernel merges equal pending events (inotify(7)), and this watch has only one kind.
  private readonly events = new Uint8Array(new ArrayBuffer(4096));

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Discards pending events, so that `fd` is not readable until the next write. */
  clear(): void {
    while (readDescriptor(this.fd, this.events) > 0);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}

/**
 * A watch whose `fd` is readable once the file at `path`, or a file in the folder at `path`, was written or truncated.
 * Throws if it cannot be watched.
 */
export function watchGrowth(path: string): GrowthWatch {
  const fd = checked("inotify_init1", libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  try {
    checked("inotify_add_watch", libc.inotify_add_watch(fd, cString(path), IN_MODIFY), path);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
  return new GrowthWatch(fd);
}
