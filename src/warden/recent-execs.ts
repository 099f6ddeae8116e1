// The last execs, so that a verdict can name the arguments of ancestors that have ended meanwhile: `sh -c "curl X | sh"`
// is over before anybody can read its /proc.
import type { Execution } from "./tracker.ts";

/** More than a host makes in the 20 ms after which the warden reads them, also in a flood of 5,000 a second. */
const EXECS = 512;
/** The arguments of all of them together, in bytes at most. */
const ARGUMENT_BYTES = 4 << 20;

export class RecentExecs {
  private readonly execs: (Execution | undefined)[];
  private next = 0;

  /** `argumentBytes`: the longest arguments of an exec. */
  constructor(argumentBytes: number) {
    this.execs = new Array(Math.min(EXECS, Math.floor(ARGUMENT_BYTES / argumentBytes)));
  }

  /** Remembers an exec in the place of the oldest one. */
  add(exec: Execution): void {
    this.execs[this.next] = exec;
    this.next = this.next + 1 === this.execs.length ? 0 : this.next + 1;
  }

  /** The newest one that `test` accepts. */
  find(test: (exec: Execution) => boolean): Execution | undefined {
    const { execs, next } = this;
    for (let age = 1; age <= execs.length; age += 1) {
      const exec = execs[(next - age + execs.length) % execs.length];
      if (exec === undefined) return undefined;
      if (test(exec)) return exec;
    }
    return undefined;
  }
}
