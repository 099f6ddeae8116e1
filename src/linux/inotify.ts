// inotify(7): to be woken when a file grows.
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

/** A watch that `watchGrowth` made, in this process or in one that handed it on. */
export class GrowthWatch implements Disposable {
  readonly fd: number;
  // Events that are alike and wait together are one (inotify(7)), and this watch has only one kind.
  private readonly events = new Uint8Array(new ArrayBuffer(4096));

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Not readable any more until the next write. */
  clear(): void {
    while (readDescriptor(this.fd, this.events) > 0);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}

/**
 * Its `fd` is readable once the file at `path`, or one in the folder at `path`, was written to or cut. Throws if it
 * cannot be watched.
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
