// The mounts of the host, and an event of the kernel's when they change: proc_pid_mountinfo(5), proc_pid_mounts(5).
import { closeSync, constants, openSync, readFileSync } from "node:fs";

/** The mounts of pid 1, whose mount namespace is the host's. A hardened unit has a copy, in which some of them differ. */
const HOST_MOUNTS = "/proc/1/mountinfo";

/** Watches which mounts there are. */
export class MountWatch implements Disposable {
  /** Reports EPOLLPRI when a mount was made, removed, moved or changed, once for any number of them. */
  readonly fd: number;
  private readonly path: string;
  private lines: ReadonlySet<string>;

  /** Throws an error with a `code` if the mounts cannot be read. */
  constructor(path = HOST_MOUNTS) {
    this.path = path;
    this.fd = openSync(path, constants.O_RDONLY);
    try {
      // After the descriptor was opened, which reports changes from then on.
      this.lines = linesOf(this.read());
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  /** Where mounts differ from those at the last call, or at the start. Reading takes some 1 us a mount. */
  takeChanges(): ReadonlySet<string> {
    const before = this.lines;
    this.lines = linesOf(this.read());
    return changedMountPoints(before, this.lines);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }

  private read(): string {
    return readFileSync(this.path, "utf8");
  }
}

/** The lines of /proc/PID/mountinfo. */
export function linesOf(mountinfo: string): ReadonlySet<string> {
  return new Set(mountinfo.split("\n").filter((line) => line !== ""));
}

/**
 * The mount points of the lines that only one of two states has. A whole line is compared, because the number of a mount and
 * that of its device may both be used again.
 */
export function changedMountPoints(
  before: ReadonlySet<string>,
  after: ReadonlySet<string>,
): ReadonlySet<string> {
  const changed = [...before.symmetricDifference(after)];
  return new Set(changed.flatMap((line) => mountPointOf(line) ?? []));
}

/** The mount point in a line of /proc/PID/mountinfo; undefined if it has too few fields. */
export function mountPointOf(line: string): string | undefined {
  const mountPoint = line.split(" ", MOUNT_POINT_FIELD + 1)[MOUNT_POINT_FIELD];
  return mountPoint === undefined ? undefined : unescapeMount(mountPoint);
}

/** Counted from 0; proc_pid_mountinfo(5). */
const MOUNT_POINT_FIELD = 4;

/** Blanks, tabs, line ends and backslashes are written as three octal digits. */
function unescapeMount(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
