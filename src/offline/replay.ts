// A capture through the hot path's own rooms: the verdicts that a policy would have given. No clock, no kernel and
// nothing random, so that every run on every host gives the same bytes.
import type { Baseline, Knowledge } from "../baseline/baseline.ts";
import { Scopes } from "../baseline/key.ts";
import type { Outcome } from "../enforcement/outcome.ts";
import type { BaseSystem } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import { decide, type Policy } from "../policy/policy.ts";
import type { Action } from "../policy/schema.ts";
import type { EventRecord } from "../report/event-record.ts";
import { type Stamp, verdictRecord } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import type { Capture, CaptureEnd } from "../sensor/capture/read.ts";
import type { LossEvent } from "../sensor/event.ts";
import { type Execution, Tracker, type TrackerListener } from "../warden/tracker.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import { identifyAccounted } from "./accounted.ts";

/** What was counted on the way. */
export interface ReplayTally {
  /** Programs that were judged, those that the scans found included. */
  judged: number;
  readonly verdicts: Record<Action, number>;
  /** Events that the recording sensor is known to have lost. */
  lost: number;
  /** Losses of which nobody could tell how many events they were. */
  lossesUncounted: number;
  /** By rule: how often a variable that it names was absent. */
  readonly undecided: Map<string, number>;
}

export interface ReplayResult {
  readonly end: CaptureEnd;
  readonly events: number;
  readonly tally: Readonly<ReplayTally>;
}

/** What a verdict comes to where nothing may be killed. */
const outcomes: Readonly<Record<Action, Outcome>> = {
  allow: "allowed",
  alert: "alerted",
  kill: "would_kill",
};

export interface ReplayInputs {
  readonly policy: Policy;
  /** The base list by which programs are named. */
  readonly base: BaseSystem;
  /** The baseline that the policy is asked with; without one no tree is known or unknown. */
  readonly known?: Baseline | undefined;
  /** Gets every verdict but a plain allow, in order. */
  readonly onRecord: (record: EventRecord) => void;
}

/** Reads all of `capture`, and judges every program that starts in it. */
export function replay(capture: Capture, { policy, base, known, onRecord }: ReplayInputs): ReplayResult {
  const judge = new ReplayJudge(capture, policy, onRecord, known);
  const totals = new Totals();
  const tracker = new Tracker(
    {
      identify: identifyAccounted(createIdentifier({ base })),
      totals,
      trees: new TreeTotals(totals, { mode: "off", limit: 1 }, () => 0),
      suspendedNs: capture.header.suspended_ns,
      isKnown: () => false,
    },
    judge,
  );
  const end = capture.read({
    clock: (wallOffset) => {
      judge.wallOffset = wallOffset;
    },
    event: (event) => tracker.handle(event),
    scan: (processes, time) => {
      tracker.forget(tracker.reconcile(processes, time).missing);
    },
  });
  return { end, events: capture.events, tally: judge.tally };
}

class ReplayJudge implements TrackerListener {
  wallOffset: number;
  readonly tally: ReplayTally = {
    judged: 0,
    verdicts: { allow: 0, alert: 0, kill: 0 },
    lost: 0,
    lossesUncounted: 0,
    undecided: new Map(),
  };
  private readonly policy: Policy;
  private readonly tell: (record: EventRecord) => void;
  private readonly known: Baseline | undefined;
  private readonly scopes = new Scopes();
  private readonly stamp: Stamp;
  private readonly inputs: {
    readonly bootTimeMs: number;
    readonly userName: (uid: number) => string | undefined;
  };

  constructor(
    capture: Capture,
    policy: Policy,
    tell: (record: EventRecord) => void,
    known: Baseline | undefined,
  ) {
    const { header, digest } = capture;
    this.policy = policy;
    this.known = known;
    this.tell = tell;
    this.wallOffset = header.wall_offset_ns;
    this.stamp = recordUids(digest.subarray(0, 5));
    this.inputs = { bootTimeMs: header.boot_time_ms, userName: (uid) => capture.userName(uid) };
  }

  onFork(): void {}

  onExit(): void {}

  onExec(exec: Execution): void {
    const subject = execSubject(exec, this.wallOffset, this.inputs, this.knowledgeOf(exec));
    const decision = decide(this.policy, subject);
    const { tally } = this;
    tally.judged += 1;
    tally.verdicts[decision.action] += 1;
    for (const rule of decision.undecided) tally.undecided.set(rule, (tally.undecided.get(rule) ?? 0) + 1);
    if (decision.action === "allow") return;
    const outcome = outcomes[decision.action];
    this.tell(verdictRecord(subject, decision, outcome, undefined, this.policy.version, this.stamp));
  }

  private knowledgeOf({ process, facts, time }: Execution): Knowledge | undefined {
    const { lineage } = process;
    const scope = this.scopes.of(facts.cgroup, lineage.container, undefined);
    return this.known?.knowledge(lineage, scope, Math.floor((time + this.wallOffset) / 1e9));
  }

  onLoss(event: LossEvent): void {
    if (event.count === undefined) this.tally.lossesUncounted += 1;
    else this.tally.lost += event.count;
  }
}
