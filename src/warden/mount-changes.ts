// Notices where the host's mounts change: a file system that is mounted over a folder brings other files to known paths.
import { EPOLLPRI, type Poll } from "../linux/epoll.ts";
import type { MountWatch } from "../linux/mounts.ts";
import { messageOf } from "../vocabulary/errors.ts";

export interface MountChangesInputs {
  /** Throws if the mounts cannot be read. */
  readonly open: () => Pick<MountWatch, "fd" | "takeChanges">;
  readonly poll: Pick<Poll, "add">;
  /** Of the poll, for `onEvent`. */
  readonly token: number;
  /** ns, CLOCK_MONOTONIC */
  readonly now: () => number;
  /** Something was mounted, unmounted or mounted otherwise at these paths. */
  readonly onChanges: (mountPoints: ReadonlySet<string>) => void;
}

/**
 * Looking takes at most a fiftieth of the time, however many mounts there are. A user who may mount FUSE can cause as many
 * events as he likes.
 */
const PAUSE_PER_LOOK = 50;

/** Every path lies below it. */
const EVERYWHERE: ReadonlySet<string> = new Set(["/"]);

export class MountChanges {
  /** Why changes are not noticed. */
  readonly problem: string | undefined;
  private readonly inputs: MountChangesInputs;
  private readonly watch: ReturnType<MountChangesInputs["open"]> | undefined;
  private isDue = false;
  /** ns, CLOCK_MONOTONIC */
  private notBefore = 0;

  constructor(inputs: MountChangesInputs) {
    this.inputs = inputs;
    try {
      this.watch = inputs.open();
      inputs.poll.add(this.watch.fd, inputs.token, EPOLLPRI);
    } catch (error) {
      this.problem = `changes of mounts are not noticed: ${messageOf(error)}`;
    }
  }

  /** To be called when the kernel reports that mounts have changed. */
  onEvent(): void {
    this.isDue = true;
  }

  /** Nanoseconds until `work` is due; undefined while no mount has changed. */
  dueIn(now: number): number | undefined {
    return this.isDue ? Math.max(0, this.notBefore - now) : undefined;
  }

  work(now: number): void {
    if (this.dueIn(now) !== 0) return;
    this.isDue = false;
    const changes = this.take();
    const end = this.inputs.now();
    this.notBefore = end + PAUSE_PER_LOOK * (end - now);
    if (changes.size > 0) this.inputs.onChanges(changes);
  }

  private take(): ReadonlySet<string> {
    try {
      return this.watch?.takeChanges() ?? EVERYWHERE;
    } catch {
      return EVERYWHERE;
    }
  }
}
