// Events whose first verdict left rules undecided for lack of an answer: of the examiner about a file or its content, or
// of a container's runtime about its image. Each is judged once more when its answers have come, or after a while with
// what there is.
import { payersOf } from "../enforcement/offender.ts";
import type { Policy } from "../policy/policy.ts";
import type { ExecSubject, Subject } from "../policy/subject.ts";
import type { lateReasons } from "../report/instruments.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";
import type { SeenState } from "./runnable-contents.ts";

/** An event to be judged again. */
export interface AwaitingEvent<S extends Subject = ExecSubject> {
  readonly subject: S;
  /** The file whose content is asked for, if any. */
  readonly seen: SeenState | undefined;
  /** The rules that were undecided: only they are asked again. */
  readonly undecided: readonly string[];
  /** The policy that left them undecided. */
  readonly policy: Policy;
}

interface Waiting<S extends Subject> extends AwaitingEvent<S> {
  /** Names of the answers that are outstanding. */
  readonly keys: Set<string>;
  /** ns, CLOCK_MONOTONIC */
  readonly until: number;
  readonly payers: readonly Payer[];
}

export interface LateVerdictsInputs<S extends Subject> {
  readonly judge: (event: AwaitingEvent<S>) => void;
  /** Counts an exec that is not judged again, or that was judged without its answers. */
  readonly missed: (reason: LateReason) => void;
}

/** `full`: too many wait. `timeout`: an answer did not come. `stop`: the warden ended before it could come. */
export type LateReason = (typeof lateReasons)[number];

/** Maximum number of execs that wait, about 4 KiB each. */
const MAX_WAITING = 1024;
/** Of one user other than root, so that no flood of new files makes other users' verdicts be missed. */
const MAX_OF_USER = MAX_WAITING / 4;
/** An exec waits at most 35 s (in ns): longer than a question about a content, or about a container's image. */
const TIMEOUT_NS = 35e9;

export class LateVerdicts<S extends Subject = ExecSubject> {
  private readonly inputs: LateVerdictsInputs<S>;
  /** Oldest first. */
  private readonly waiting = new Set<Waiting<S>>();
  private readonly byKey = new Map<string, Set<Waiting<S>>>();
  private readonly shares = new Shares(MAX_WAITING, MAX_OF_USER);

  constructor(inputs: LateVerdictsInputs<S>) {
    this.inputs = inputs;
  }

  /** Has an exec judged again when the answers named `keys` have come. `now`: ns, CLOCK_MONOTONIC. */
  add(exec: AwaitingEvent<S>, keys: readonly string[], now: number): void {
    const payers = payersOf(exec.subject.lineage, exec.subject.facts.realUid);
    if (!this.shares.take(payers)) {
      this.inputs.missed("full");
      return;
    }
    const waiting: Waiting<S> = { ...exec, keys: new Set(keys), until: now + TIMEOUT_NS, payers };
    this.waiting.add(waiting);
    for (const key of keys) {
      const others = this.byKey.get(key);
      if (others === undefined) this.byKey.set(key, new Set([waiting]));
      else others.add(waiting);
    }
  }

  /** The answer named `key` has come. */
  answered(key: string): void {
    const waiting = this.byKey.get(key);
    if (waiting === undefined) return;
    this.byKey.delete(key);
    for (const exec of waiting) {
      exec.keys.delete(key);
      if (exec.keys.size > 0) continue;
      this.remove(exec);
      this.inputs.judge(exec);
    }
  }

  /** Nanoseconds until `expire` has something to do; undefined if none waits. */
  dueIn(now: number): number | undefined {
    if (this.waiting.size === 0) return undefined;
    const [oldest] = this.waiting;
    return oldest === undefined ? undefined : Math.max(0, oldest.until - now);
  }

  /** Judges those that have waited for too long with what is known. */
  expire(now: number): void {
    if (this.waiting.size === 0) return;
    for (const exec of this.waiting) {
      if (exec.until > now) return;
      this.judgeWithoutAnswers(exec, "timeout");
    }
  }

  /** Judges all that wait with what is known, because the warden ends and no other one gets their answers. */
  endAll(): void {
    for (const exec of this.waiting) this.judgeWithoutAnswers(exec, "stop");
  }

  private judgeWithoutAnswers(exec: Waiting<S>, reason: LateReason): void {
    this.remove(exec);
    for (const key of exec.keys) {
      const others = this.byKey.get(key);
      others?.delete(exec);
      if (others?.size === 0) this.byKey.delete(key);
    }
    this.inputs.missed(reason);
    this.inputs.judge(exec);
  }

  private remove(exec: Waiting<S>): void {
    this.waiting.delete(exec);
    this.shares.giveBack(exec.payers);
  }
}
