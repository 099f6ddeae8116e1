// What the warden says of itself: its answer to `treewarden status`, and why it is degraded.
import type { ProcessKiller } from "../enforcement/kill.ts";
import { monotonicNow } from "../linux/clock.ts";
import { localTimeOf } from "../report/local-time.ts";
import type { Outbox } from "../report/outbox.ts";
import { version } from "../report/version.ts";
import type { ChainStore } from "./chain-store.ts";
import type { ClosedLineages } from "./closed-lineages.ts";
import type { DenialsInForce } from "./denials-in-force.ts";
import type { EnforcementInForce } from "./enforcement-in-force.ts";
import type { Epoch } from "./epoch.ts";
import type { EventSource } from "./event-source.ts";
import type { FilesInForce } from "./files-in-force.ts";
import type { KnownTrees } from "./known-trees.ts";
import type { MountChanges } from "./mount-changes.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import type { PreventionLimit } from "./prevention-limit.ts";
import type { StoppedWatch } from "./stopped-watch.ts";
import type { RescueUser } from "./user-names.ts";
import type { VerdictHandler } from "./verdict-handler.ts";
import type { WardenOptions } from "./warden-options.ts";
import type { WardenStatus } from "./warden-status.ts";

export interface StatusReportInputs {
  readonly options: Pick<WardenOptions, "config" | "run" | "runStartedMs" | "outputProblems">;
  /** When this warden started: ns since the epoch. */
  readonly started: number;
  readonly source: EventSource;
  readonly enforcement: EnforcementInForce;
  readonly policyInForce: PolicyInForce;
  readonly knownTrees: KnownTrees;
  readonly files: FilesInForce;
  readonly chainStore: ChainStore;
  readonly outbox: Outbox;
  readonly verdicts: VerdictHandler;
  readonly killer: ProcessKiller;
  readonly stoppedWatch: StoppedWatch;
  readonly rescue: RescueUser;
  readonly denials: DenialsInForce;
  readonly closings: ClosedLineages;
  readonly preventionLimit: PreventionLimit;
  readonly mounts: MountChanges | undefined;
  readonly epoch: Epoch;
}

export class StatusReport {
  private readonly inputs: StatusReportInputs;

  constructor(inputs: StatusReportInputs) {
    this.inputs = inputs;
  }

  /** Why what is in force is not what was asked for. */
  degraded(): readonly string[] {
    const { options, source, enforcement, files, chainStore, rescue, denials } = this.inputs;
    const [pause] = enforcement.overrides.pause;
    return [
      ...(files.current.problems.length === 0 ? [] : [lastGoodText(files.current.sinceMs)]),
      ...files.current.problems,
      ...(files.current.origin.why === null ? [] : [files.current.origin.why]),
      ...enforcement.problems,
      ...(pause === undefined ? [] : [`enforcement is paused: ${pause.reason ?? "no reason was given"}`]),
      ...(source.replaced === undefined
        ? []
        : [`the sensor ${source.replaced} failed, ${source.name} took over`]),
      ...(source.networkProblem === undefined ? [] : [source.networkProblem]),
      ...(source.carryProblem === undefined ? [] : [source.carryProblem]),
      ...(denials.problem === undefined ? [] : [denials.problem]),
      ...this.preventionProblems(),
      ...(rescue.problem === undefined ? [] : [rescue.problem]),
      ...(chainStore.failure === undefined
        ? []
        : [`the end of the journal's chain could not be saved: ${chainStore.failure}`]),
      ...options.outputProblems.map(({ text }) => text),
    ];
  }

  status(): WardenStatus {
    const { options, started, source, enforcement, policyInForce, knownTrees, files } = this.inputs;
    const { verdicts, outbox, killer, stoppedWatch, closings, epoch } = this.inputs;
    return {
      version,
      run: options.run,
      started: started / 1e9,
      runStarted: options.runStartedMs / 1e3,
      sensor: { source: source.name, reason: source.why },
      enforcement: enforcement.enforcement,
      armedSinceHours: enforcement.armedSinceHours,
      mayAct: enforcement.mayAct,
      rules: enforcement.actingRules(),
      policy: {
        ...policyInForce.summary(),
        since: policyInForce.since / 1e3,
        rules: policyInForce.current.rules.length,
      },
      baseline: knownTrees.summary,
      configuration: {
        file: files.current.origin.file,
        digest: files.current.origin.digest,
        since: files.current.sinceMs / 1e3,
      },
      waiting: [...files.waiting],
      degraded: [...this.degraded()],
      lost: verdicts.lost,
      backlog: outbox.unacknowledged,
      killBudget: killer.budgetRemaining,
      stopped: stoppedWatch.status(),
      prevention:
        enforcement.enforcement === "prevent" && source.sensor.prevention !== undefined
          ? { ...closings.summary(), maxPerMinute: options.config.prevent.max_per_minute }
          : null,
      epoch: epoch.current,
    };
  }

  private preventionProblems(): readonly string[] {
    const { enforcement, source, closings, mounts, preventionLimit } = this.inputs;
    if (enforcement.enforcement !== "prevent") return [];
    const { prevention, preventionProblem: why = `the source ${source.name} cannot prevent` } = source.sensor;
    if (prevention === undefined) return [`${why}: programs are killed once they have begun`];
    return [closings.problem, mounts?.problem, preventionLimit.problemAt(monotonicNow())].filter(
      (problem) => problem !== undefined,
    );
  }
}

function lastGoodText(sinceMs: number): string {
  return `what was in force since ${localTimeOf(sinceMs)} is still in force, because the files on disk have errors`;
}
