// A whole forest as text, for captures: unlike the saved forest it needs no scan of /proc to become a forest again, so
// that a replay on any host begins with the same one.
import * as v from "valibot";
import type { Forest, RestoredProcess } from "./forest.ts";
import type { Lineage } from "./lineage.ts";
import type { Runnable } from "./runnable.ts";
import { decodeFacts, FactsList, savedFacts } from "./saved-facts.ts";
import { lineageLists, restoreLineages, savedNode } from "./saved-forest.ts";

const index = v.pipe(v.number(), v.integer(), v.minValue(-1));
const whole = v.pipe(v.number(), v.integer(), v.minValue(0));

const Snapshot = v.object({
  programs: v.array(v.unknown()),
  /** As in a saved forest. */
  nodes: v.array(savedNode),
  processes: v.array(
    v.object({
      pid: whole,
      start_ticks: v.number(),
      start_exact: v.boolean(),
      start_time: v.number(),
      parent_pid: whole,
      /** Index of a node. */
      lineage: whole,
      /** Index of a node; -1: none. */
      ancestry: index,
      execed: v.boolean(),
      link_guessed: v.boolean(),
      kernel_thread: v.boolean(),
      /** Index of its lasting facts. */
      facts: whole,
      exec_id: v.exactOptional(whole),
    }),
  ),
  facts: v.array(savedFacts),
  /** See `Forest.lossTime`; absent if no loss waits for its scan. */
  loss_time: v.exactOptional(v.number()),
});
type Snapshot = v.InferOutput<typeof Snapshot>;

export function snapshotForest(forest: Forest, encode: (program: Runnable) => unknown): string {
  const { images, nodes, indexOf } = lineageLists(encode);
  const processes: Snapshot["processes"] = [];
  const facts = new FactsList();
  for (const process of forest.processes()) {
    processes.push({
      pid: process.pid,
      start_ticks: process.startTicks,
      start_exact: process.startExact,
      start_time: process.startTime,
      parent_pid: process.parentPid,
      lineage: indexOf(process.lineage),
      ancestry: process.ancestry === null ? -1 : indexOf(process.ancestry),
      execed: process.execed,
      link_guessed: process.linkGuessed,
      kernel_thread: process.kernelThread,
      facts: facts.numberOf(process.facts),
      ...(process.execId === undefined ? {} : { exec_id: process.execId }),
    });
  }
  const { lossTime } = forest;
  const loss = lossTime === undefined ? {} : { loss_time: lossTime };
  return JSON.stringify({
    programs: images,
    nodes,
    processes,
    facts: facts.saved(),
    ...loss,
  });
}

/** Fills an empty forest with what `snapshotForest` wrote. Throws an Error that names what does not hold together. */
export function restoreSnapshot(forest: Forest, text: string, decode: (program: unknown) => Runnable): void {
  const {
    programs,
    nodes,
    processes,
    facts: savedList,
    loss_time: lossTime,
  } = v.parse(Snapshot, JSON.parse(text));
  forest.lossTime = lossTime;
  const lineages: Lineage[] = [];
  restoreLineages(forest, programs.map(decode), nodes, lineages);
  const factsByIndex = savedList.map(decodeFacts);
  const restored = processes.map((one): RestoredProcess => {
    const lineage = lineages[one.lineage];
    const ancestry = one.ancestry === -1 ? null : lineages[one.ancestry];
    const facts = factsByIndex[one.facts];
    if (lineage === undefined || ancestry === undefined) throw new Error(`no lineage for pid ${one.pid}`);
    if (facts === undefined) throw new Error(`no facts for pid ${one.pid}`);
    return {
      pid: one.pid,
      startTicks: one.start_ticks,
      startExact: one.start_exact,
      startTime: one.start_time,
      parentPid: one.parent_pid,
      lineage,
      ancestry,
      execed: one.execed,
      linkGuessed: one.link_guessed,
      kernelThread: one.kernel_thread,
      facts,
      execId: one.exec_id,
    };
  });
  forest.restore(restored);
  for (const lineage of lineages) forest.lineages.release(lineage);
}
