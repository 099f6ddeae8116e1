// The parts that have the kernel end programs before their first instruction (`enforcement: prevent`).

import { PackagingTrees } from "../baseline/package-managers.ts";
import type { Config } from "../config/config.ts";
import type { ExaminerClient } from "../examiner/client.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { monotonicNow, realtimeNow } from "../linux/clock.ts";
import type { Poll } from "../linux/epoll.ts";
import { MountWatch } from "../linux/mounts.ts";
import type { Totals } from "../report/totals.ts";
import type { BaseList } from "./base-list.ts";
import { ClosedLineages, type ClosedLineagesInputs } from "./closed-lineages.ts";
import type { EnforcementInForce } from "./enforcement-in-force.ts";
import type { Epoch } from "./epoch.ts";
import type { EventSource } from "./event-source.ts";
import { IdentifiedFiles } from "./identified-files.ts";
import type { KnownTrees } from "./known-trees.ts";
import { ListedFiles } from "./listed-files.ts";
import { MountChanges } from "./mount-changes.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import { PreventionLimit, type PreventionLimitInputs } from "./prevention-limit.ts";
import type { SlicedWork } from "./sliced-work.ts";
import type { SparedSessions } from "./spared-sessions.ts";
import type { VerdictInputs } from "./verdict-handler.ts";

export interface PreventionPartsInputs {
  readonly config: Config;
  readonly poll: Poll;
  /** The token of the descriptor that becomes ready when mounts change. */
  readonly mountsToken: number;
  readonly epoch: Epoch;
  readonly totals: Totals;
  readonly policyInForce: PolicyInForce;
  readonly enforcement: EnforcementInForce;
  readonly source: EventSource;
  readonly forest: Forest;
  readonly baseList: BaseList;
  readonly knownTrees: KnownTrees;
  readonly examiner: ExaminerClient;
  readonly work: SlicedWork;
  readonly sparedSessions: SparedSessions;
  /** Whether the process is treewarden's own, or one that it depends on. */
  readonly isSpared: (process: Process) => boolean;
  /** Start ticks: processes that started before may go on with what they run. */
  readonly spareBefore: number;
  readonly subjectOf: ClosedLineagesInputs["subjectOf"];
  readonly knowledgeOf: VerdictInputs["knowledgeOf"];
  readonly recordChange: PreventionLimitInputs["recordChange"];
}

export interface PreventionParts {
  readonly identified: IdentifiedFiles;
  readonly listed: ListedFiles;
  readonly preventionLimit: PreventionLimit;
  readonly closings: ClosedLineages;
  /** Has every process judged again soon. */
  readonly scheduleClosings: () => void;
  /** undefined: nothing is prevented. */
  readonly mounts: MountChanges | undefined;
}

export function buildPrevention(inputs: PreventionPartsInputs): PreventionParts {
  const { config, epoch, totals, source, forest, knownTrees, examiner, work } = inputs;
  const packaging = new PackagingTrees();
  const isOpen = (process: Process): boolean | "own" => {
    if (inputs.isSpared(process) || inputs.sparedSessions.includes(process)) return true;
    if (packaging.includes(process.lineage)) return true;
    return process.startTicks < inputs.spareBefore ? "own" : false;
  };
  const now = (): bigint => BigInt(Math.floor(realtimeNow()));
  const identified = new IdentifiedFiles({ ask: (paths) => examiner.opened.ask(paths), now });
  const listed = new ListedFiles({ ask: (patterns) => examiner.listed.ask(patterns), now });
  const preventionLimit = new PreventionLimit({
    recordChange: inputs.recordChange,
    limited: totals.counter("preventLimited", {}),
  });
  const preventedUnrecorded = totals.counter("preventedUnrecorded", {});
  const scheduleClosings = (): void => work.add("closings", () => closings.applying());
  const closings = new ClosedLineages({
    policy: inputs.policyInForce,
    enforcement: inputs.enforcement,
    epoch,
    processes: () => forest.processes(),
    kernel: () => source.sensor.prevention,
    subjectOf: inputs.subjectOf,
    closing: () => ({
      identify: (facts) => inputs.baseList.identify(facts),
      knowledgeOf: (lineage, { subject: { facts } }) => {
        const process = { lineage };
        return inputs.knowledgeOf({ process, facts, tree: treeOf(lineage), time: monotonicNow() });
      },
      scopeOf: (lineage, { subject: { facts } }) => {
        const scope = knownTrees.scopeOf(lineage, facts);
        return scope === "pending" ? undefined : scope;
      },
      programs: knownTrees.programsBelow,
    }),
    files: identified,
    listed,
    isOpen,
    schedule: scheduleClosings,
    scheduleNew: () => work.add("new closings", () => closings.judgingNew()),
    isAlive: (process) => forest.get(process.pid) === process,
    limit: preventionLimit,
    onUnrecorded: (count) => preventedUnrecorded.add(count),
  });
  const mounts =
    config.enforcement === "prevent"
      ? new MountChanges({
          open: () => new MountWatch(),
          poll: inputs.poll,
          token: inputs.mountsToken,
          now: monotonicNow,
          onChanges: (mountPoints) => {
            const isOther = identified.forgetBelow(mountPoints);
            if (listed.forgetBelow(mountPoints) || isOther) epoch.raise("mounts");
          },
        })
      : undefined;
  return { identified, listed, preventionLimit, closings, scheduleClosings, mounts };
}
