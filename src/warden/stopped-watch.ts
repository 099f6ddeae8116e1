// Keeps stopped trees stopped, across restarts of the warden too, until root releases or kills them.
import { join } from "node:path";
import * as v from "valibot";
import type { ProcessKiller, SentCount } from "../enforcement/kill.ts";
import { payersOf } from "../enforcement/offender.ts";
import type { StoppedTree, StoppedTrees } from "../enforcement/stopped-trees.ts";
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Gauge } from "../report/totals.ts";
import type { CondemnedProcesses } from "../sensor/condemned.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import { creationTime, type ProcessKey } from "../vocabulary/process-key.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import type { WardenStatus } from "./warden-status.ts";

/** Interval of the looks at stopped processes, ns. */
const LOOK_NS = 250e6;
/** The most processes of a look: a millisecond's work. */
const LOOKED_AT = 64;
/** The least time between two records that one tree was continued, ns. */
const RECORD_NS = 60e9;
/** Bytes of the file of stopped trees: 32 trees with all processes that a host can have. */
const FILE_LIMIT = 64 << 20;

const keySchema = v.strictObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(2)),
  startTicks: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});
const fileSchema = v.strictObject({
  bootId: v.string(),
  trees: v.array(
    v.strictObject({
      root: keySchema,
      rule: v.string(),
      since: v.pipe(v.number(), v.finite()),
      dies: v.boolean(),
      members: v.array(keySchema),
    }),
  ),
});

/** What root orders about a stopped tree, by any of its processes. */
export interface StopOrder extends Pick<ProcessKey, "pid" | "startTicks"> {
  readonly kind: "release" | "kill";
  readonly by: { readonly pid: number; readonly login_user: number | null; readonly session: number | null };
}

export interface StoppedWatchInputs {
  readonly stateDirectory: string;
  readonly bootId: string;
  readonly bootTimeMs: number;
  readonly forest: Forest;
  readonly stopped: StoppedTrees;
  readonly killer: Pick<ProcessKiller, "stopAgain" | "release" | "killStopped">;
  readonly reader: Pick<FactsReader, "startTicks" | "stat">;
  /** The part of the sensor in use that has the kernel carry a signal on. */
  readonly condemned: () => CondemnedProcesses | undefined;
  /** Has the sensor begin with that. */
  readonly carrySignals: () => void;
  readonly count: Gauge;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  readonly writeFile: WriteFile;
}

export class StoppedWatch {
  private readonly inputs: StoppedWatchInputs;
  private isChanged = false;
  private lookAt = 0;
  /** The processes that the present round of looks has not reached yet. */
  private round: (readonly [StoppedTree, Process])[] = [];
  /** Processes that were seen to stand still: a signal takes effect a moment after it was sent. */
  private readonly stood = new WeakSet<Process>();
  /** When a tree was last recorded as continued, and how often it had been. Invalidated by: the next such record. */
  private readonly recorded = new WeakMap<StoppedTree, { readonly at: number; readonly continued: number }>();

  constructor(inputs: StoppedWatchInputs) {
    this.inputs = inputs;
    inputs.stopped.onChange = () => {
      this.isChanged = true;
    };
  }

  /** Stops again what an earlier warden of this boot has left stopped; to be called once the forest is there. */
  restore(): void {
    const { stateDirectory, bootId, forest, stopped, killer } = this.inputs;
    const bytes = readCheckedFileOrNothing(pathIn(stateDirectory), stateFile(FILE_LIMIT));
    const saved = bytes && parseJson(fileSchema, bytes.toString("utf8"));
    if (saved === undefined || saved.bootId !== bootId || saved.trees.length === 0) return;
    this.inputs.carrySignals();
    for (const { root, rule, since, dies, members } of saved.trees) {
      const known = members.flatMap((key) => forest.find({ ...key, startExact: true }) ?? []);
      // What they have forked before they stood still may not have been read when the file was written.
      const processes = [...new Set(known.flatMap((process) => forest.descendants(process)))];
      const [first] = processes;
      if (first === undefined) continue;
      const payers = payersOf(first.lineage, undefined);
      const tree = stopped.begin({ root: { ...root, startExact: true }, rule, since, payers, dies });
      if (tree === undefined) continue;
      for (const process of processes) {
        // Without the right to signal it is a member all the same: it was stopped, and the kernel sees to the rest.
        if (killer.stopAgain(process, tree) !== "gone") stopped.add(tree, process);
      }
      if (tree.members.size === 0) stopped.end(tree);
      // The earlier warden has ended before it could.
      else if (dies) killer.killStopped(tree);
    }
  }

  /** Another sensor has taken over, which knows of nothing that is stopped. */
  sensorReplaced(): void {
    for (const { members } of this.inputs.stopped)
      for (const process of members) this.inputs.condemned()?.condemn(process, "SIGSTOP");
  }

  /** Nanoseconds until `work` has something to do; undefined while nothing is stopped. */
  dueIn(now: number): number | undefined {
    if (this.isChanged) return 0;
    return this.inputs.stopped.size === 0 ? undefined : Math.max(0, this.lookAt - now);
  }

  /** `now`: ns, CLOCK_MONOTONIC. */
  work(now: number): void {
    const { stopped, count } = this.inputs;
    if (this.isChanged) {
      this.isChanged = false;
      count.set(this.kept().length);
      this.save();
    }
    if (stopped.size === 0 || now < this.lookAt) return;
    this.lookAt = now + LOOK_NS;
    if (this.round.length === 0)
      this.round = [...stopped].flatMap((tree) =>
        [...tree.members].map((process) => [tree, process] as const),
      );
    for (const [tree, process] of this.round.splice(0, LOOKED_AT))
      if (tree.members.has(process)) this.look(tree, process);
    for (const tree of stopped) this.recordContinued(tree, now);
  }

  /** Releases or kills the tree that a process belongs to; returns why it cannot. */
  carryOut({ kind, pid, startTicks, by }: StopOrder): { readonly problem?: string; readonly count: number } {
    const { forest, stopped, killer } = this.inputs;
    const process = forest.find({ pid, startTicks, startExact: true });
    const tree = process && stopped.treeOf(process);
    if (tree === undefined) return { problem: `process ${pid} is in no stopped tree`, count: 0 };
    const details = this.fieldsOf(tree);
    const { sent, refused }: SentCount = kind === "release" ? killer.release(tree) : killer.killStopped(tree);
    if (refused > 0) {
      const problem = `this warden may not signal ${refused} of its processes: enforcement is observe`;
      return { problem, count: sent };
    }
    this.inputs.recordChange(kind === "release" ? "stop.released" : "stop.killed", {
      ...details,
      "override.by.pid": by.pid,
      "override.by.login_user.id": by.login_user,
      "override.by.session_id": by.session,
    });
    return { count: sent };
  }

  status(): WardenStatus["stopped"] {
    return this.kept().map(({ root, rule, since, members, continued }) => {
      const [first] = members;
      return { pid: first?.pid ?? root.pid, root: root.pid, rule, since, processes: members.size, continued };
    });
  }

  /** The trees that root decides about. */
  private kept(): readonly StoppedTree[] {
    return [...this.inputs.stopped].filter(({ dies }) => !dies);
  }

  private look(tree: StoppedTree, process: Process): void {
    const { reader, condemned, killer } = this.inputs;
    const kernel = condemned();
    const continued = kernel?.continued(process) ?? 0;
    tree.continued += continued;
    // This also begins the kernel's count again.
    if (continued > 0) kernel?.condemn(process, "SIGSTOP");
    if (reader.startTicks(process.pid) !== process.startTicks) return;
    // proc_pid_stat(5): stopped, by a signal or a tracer; or ended.
    if ("TtZX".includes(reader.stat?.state ?? "X")) {
      this.stood.add(process);
      return;
    }
    if (continued === 0 && this.stood.delete(process)) tree.continued += 1;
    killer.stopAgain(process, tree);
  }

  private recordContinued(tree: StoppedTree, now: number): void {
    const last = this.recorded.get(tree);
    if (tree.continued === (last?.continued ?? 0)) return;
    if (last !== undefined && now - last.at < RECORD_NS) return;
    this.recorded.set(tree, { at: now, continued: tree.continued });
    this.inputs.recordChange("stop.continued", { ...this.fieldsOf(tree), "policy.severity": "high" });
  }

  private fieldsOf({ root, rule, members, continued }: StoppedTree): EventRecord {
    const created = creationTime(root, this.inputs.bootTimeMs);
    return {
      "process.pid": root.pid,
      ...(created === undefined ? {} : { "process.creation.time": created }),
      "stop.rule": rule,
      "stop.processes": members.size,
      "stop.continued": continued,
    };
  }

  private save(): void {
    const { stateDirectory, bootId, stopped, writeFile, recordChange } = this.inputs;
    const trees = [...stopped].map(({ root, rule, since, dies, members }) => ({
      root: keyOf(root),
      rule,
      since,
      dies,
      members: [...members].map(keyOf),
    }));
    writeFile(pathIn(stateDirectory), JSON.stringify({ bootId, trees }), (error) =>
      recordChange("stop.not_saved", { "error.message": String(error) }),
    );
  }
}

function pathIn(stateDirectory: string): string {
  return join(stateDirectory, "stopped.json");
}

function keyOf({ pid, startTicks }: ProcessKey): { readonly pid: number; readonly startTicks: number } {
  return { pid, startTicks };
}
