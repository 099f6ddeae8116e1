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
const IN_ATTRIB = 0x4;
const IN_CLOSE_WRITE = 0x8;
const IN_ONLYDIR = 0x100_0000;
const IN_NONBLOCK = 0x800;
const IN_CLOEXEC = 0x8_0000;

/** struct inotify_event: its size without the name, and where the name's length is, which counts the NULs behind it. */
const EVENT_BYTES = 16;
const EVENT_MASK = 4;
const EVENT_LENGTH = 12;
/** Room for the events of one read. */
const READ_BYTES = 4096;

/** A watch that was created by `watchGrowth`, in this process or in the one that passed the descriptor. */
export class GrowthWatch implements Disposable {
  readonly fd: number;
  // The kernel merges equal pending events (inotify(7)).
  private readonly events = new Uint8Array(new ArrayBuffer(READ_BYTES));
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

/** What happened to an entry of a folder. */
export type EntryChange = "made" | "written" | "replaced" | "removed" | "attributes";

/** Of several bits the first decides. A rename onto an entry replaces it, and one away removes it. */
const changesByBit: readonly (readonly [number, EntryChange])[] = [
  [IN_CREATE, "made"],
  [IN_MOVED_TO, "replaced"],
  [IN_MOVED_FROM | IN_DELETE, "removed"],
  [IN_CLOSE_WRITE, "written"],
  [IN_ATTRIB, "attributes"],
];

/** Watches entries of folders, without waiting for the disk. Events that the kernel could not queue are missing. */
export class FolderWatch implements Disposable {
  readonly fd = checked("inotify_init1", libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  private readonly folders = new Map<number, string>();
  private readonly events = new Uint8Array(new ArrayBuffer(READ_BYTES));
  private readonly view = new DataView(this.events.buffer);

  /** Watches `folder`, also if it was watched before; false if that is not possible, for example because it is missing. */
  add(folder: string): boolean {
    const mask =
      IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR;
    const watch = libc.inotify_add_watch(this.fd, cString(folder), mask);
    if (watch < 0) return false;
    this.folders.set(watch, folder);
    return true;
  }

  /** Passes the events of one read to `onChange`: at most some hundred. The descriptor is readable if there are more. */
  take(onChange: (folder: string, name: string, change: EntryChange) => void): void {
    const length = readDescriptor(this.fd, this.events);
    for (let at = 0; at + EVENT_BYTES <= length; ) {
      const folder = this.folders.get(this.view.getInt32(at, true));
      const mask = this.view.getUint32(at + EVENT_MASK, true);
      const start = at + EVENT_BYTES;
      at = start + this.view.getUint32(at + EVENT_LENGTH, true);
      const end = this.events.indexOf(0, start);
      const change = changesByBit.find(([bits]) => (mask & bits) !== 0)?.[1];
      if (folder !== undefined && change !== undefined && end > start && end < at)
        onChange(folder, decodeText(this.events, start, end), change);
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}
