// The last execs, so that a verdict can name the arguments of ancestors that have ended meanwhile: `sh -c "curl X | sh"`
// is over before anybody can read its /proc.
import type { ProcessFacts } from "../sensor/event.ts";
import type { Execution } from "./tracker.ts";

/** What a record of an ancestor needs of its exec. The rest would keep a kilobyte alive for each. */
export type RecentExec = Readonly<
  Pick<Execution, "process" | "tree"> & Pick<ProcessFacts, "args" | "tty" | "loginUid">
>;
type Slot = { -readonly [K in keyof RecentExec]: RecentExec[K] };

/** More than a host makes in the 20 ms after which the warden reads them, also in a flood of 5,000 a second. */
const EXECS = 512;
/** The arguments of all of them together, in bytes at most. */
const ARGUMENT_BYTES = 4 << 20;

export class RecentExecs {
  private readonly execs: (Slot | undefined)[];
  private next = 0;

  /** `argumentBytes`: the longest arguments of an exec. */
  constructor(argumentBytes: number) {
    this.execs = new Array(Math.min(EXECS, Math.floor(ARGUMENT_BYTES / argumentBytes)));
  }

  /** Remembers an exec in the place of the oldest one. */
  add({ process, tree, facts }: Execution): void {
    const { args, tty, loginUid } = facts;
    const slot = this.execs[this.next];
    if (slot === undefined) this.execs[this.next] = { process, tree, args, tty, loginUid };
    else {
      slot.process = process;
      slot.tree = tree;
      slot.args = args;
      slot.tty = tty;
      slot.loginUid = loginUid;
    }
    this.next = this.next + 1 === this.execs.length ? 0 : this.next + 1;
  }

  /** The newest one that `test` accepts. It is valid until the next `add`. */
  find(test: (exec: RecentExec) => boolean): RecentExec | undefined {
    const { execs, next } = this;
    for (let age = 1; age <= execs.length; age += 1) {
      const exec = execs[(next - age + execs.length) % execs.length];
      if (exec === undefined) return undefined;
      if (test(exec)) return exec;
    }
    return undefined;
  }
}
