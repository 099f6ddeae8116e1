// inotify(7): wakes a poll when a file grows, or when files of a folder change.
import { closeDescriptor, readDescriptor } from "./descriptor.ts";
import { bindLibc, checked } from "./libc.ts";
import { cString, decodeText } from "./text.ts";

const libc = bindLibc({
  inotify_init1: { args: ["i32"], returns: "i32" },
  inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
});

// sys/inotify.h
const IN_MODIFY = 0x2;
const IN_MOVED_FROM = 0x40;
const IN_MOVED_TO = 0x80;
const IN_CREATE = 0x100;
const IN_DELETE = 0x200;
const IN_NONBLOCK = 0x800;
const IN_CLOEXEC = 0x8_0000;

/** struct inotify_event: its size without the name, and where the name's length is, which counts the NULs behind it. */
const EVENT_BYTES = 16;
const EVENT_LENGTH = 12;

/** A watch that was created by `watchGrowth`, in this process or in the one that passed the descriptor. */
export class GrowthWatch implements Disposable {
  readonly fd: number;
  // The kernel merges equal pending events (inotify(7)).
  private readonly events = new Uint8Array(new ArrayBuffer(4096));
  private readonly view = new DataView(this.events.buffer);

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Discards pending events, so that `fd` is not readable until the next write. */
  clear(): void {
    while (readDescriptor(this.fd, this.events) > 0);
  }

  /** As `clear`, and returns the names of the files that the events are about, where a folder is watched. */
  takeNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (let length = this.read(); length > 0; length = this.read()) {
      for (let at = 0; at + EVENT_BYTES <= length; ) {
        const nameBytes = this.view.getUint32(at + EVENT_LENGTH, true);
        const start = at + EVENT_BYTES;
        at = start + nameBytes;
        const end = this.events.indexOf(0, start);
        if (end > start && end < at) names.add(decodeText(this.events, start, end));
      }
    }
    return names;
  }

  /**
   * Also watches every file in `folder`: that it is written, made, replaced or removed. Throws if it cannot be watched.
   */
  addFolder(folder: string): void {
    const mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE;
    checked("inotify_add_watch", libc.inotify_add_watch(this.fd, cString(folder), mask), folder);
  }

  private read(): number {
    return readDescriptor(this.fd, this.events);
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
  const { fd } = createWatch();
  try {
    checked("inotify_add_watch", libc.inotify_add_watch(fd, cString(path), IN_MODIFY), path);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
  return new GrowthWatch(fd);
}

/** A watch of nothing yet. Throws if the user's limit of them is reached. */
export function createWatch(): GrowthWatch {
  return new GrowthWatch(checked("inotify_init1", libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)));
}
