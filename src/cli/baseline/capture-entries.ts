// What a capture shows: its trees as a learning would have found them, or its lines as for-rest would have.

import type { BaselineEntry } from "../../baseline/entry.ts";
import { ForRestLines } from "../../baseline/for-rest.ts";
import { scope as scopeNames } from "../../baseline/key.ts";
import type { LearnedTree, LearnedUpdate } from "../../baseline/learned.ts";
import { entryOfTree } from "../../baseline/learned-entry.ts";
import { Learning } from "../../baseline/learning.ts";
import { startLearning } from "../../baseline/learning-state.ts";
import { createIdentifier } from "../../fingerprint/identify.ts";
import { identifyRunning } from "../../fingerprint/title.ts";
import type { Lineage } from "../../forest/lineage.ts";
import { unambiguous } from "../../linux/text.ts";
import { identifyAccounted } from "../../offline/accounted.ts";
import { CapturedHost, identifierOf } from "../../offline/captured-host.ts";
import { redactArguments } from "../../report/redaction/arguments.ts";
import { CaptureInput } from "../../sensor/capture/capture-file.ts";
import { type Capture, openCapture } from "../../sensor/capture/capture-reader.ts";
import { type CaptureItem, isEvent } from "../../sensor/capture/items.ts";
import type { ProcessFacts } from "../../sensor/event.ts";
import { captureTexts } from "../../warden/capture-texts.ts";
import { MainPrograms } from "../../warden/main-programs.ts";
import { refusal, warnOfEnd } from "../capture-errors.ts";
import { readError } from "../file-errors.ts";
import { CommandError, exitCodes, warn } from "../output.ts";

export interface Captured {
  /** Where it was made. */
  readonly host: string;
  readonly entries: readonly BaselineEntry[];
  /** Number of losses that the capture records. */
  readonly losses: number;
  readonly unreadable: number;
}

/** The trees of the capture in `file`, each once for each executable. */
export function entriesOf(file: string): Captured {
  const trees = new Map<string, LearnedTree>();
  const change = (id: string, changed: Partial<LearnedTree>): void => {
    const tree = trees.get(id);
    if (tree !== undefined) trees.set(id, { ...tree, ...changed });
  };
  const keep = (update: LearnedUpdate): true => {
    if (update.kind === "tree") trees.set(update.tree.id, update.tree);
    else if (update.kind === "counts") for (const counted of update.counts) change(counted.id, counted);
    else change(update.id, { executables: update.executables, contents: update.contents });
    return true;
  };
  const mainPrograms = new MainPrograms();
  const learning = new Learning({
    state: startLearning(0, null, ""),
    redact: redactArguments,
    isFromMain: (lineage, facts) => mainPrograms.isFromMain(lineage, facts),
  });
  let losses = 0;
  let hostName = "";
  read(file, (capture) => {
    hostName = unambiguous(capture.header.hostName);
    const observe = (lineage: Lineage, facts: ProcessFacts, time: number): void => {
      const known = host.scopeOf(lineage, facts);
      const scope = known === "pending" ? scopeNames.container : known;
      learning.observe(lineage, scope, facts.args, Math.max(0, host.secondOf(time)), facts);
      learning.report(keep);
    };
    const host = new CapturedHost(capture, {
      onFork: () => {},
      onExit: () => {},
      onNetwork: () => {},
      onClose: () => {},
      onLoss: () => {
        losses += 1;
      },
      onExec: ({ process, facts, time }) => observe(process.lineage, facts, time),
    });
    return (item) => {
      const isFirstScan = item.kind === "scan" && !host.scanned;
      if (isFirstScan)
        for (const { facts } of item.processes)
          mainPrograms.onRunning(identifyRunning(host.identify, facts, undefined), facts);
      host.take(item);
      // A warden knew what was running before its capture began, so no scan found it.
      if (isFirstScan && capture.header.madeBy === "warden") {
        for (const { pid, facts } of item.processes) {
          const process = host.tracker.forest.get(pid);
          if (process !== undefined && !process.kernelThread) observe(process.lineage, facts, item.time);
        }
      }
    };
  });
  const entries = [...trees.values()].map(entryOfTree).filter((entry) => typeof entry !== "string");
  const missing = trees.size - entries.length;
  return {
    host: hostName,
    entries,
    losses,
    unreadable: learning.state.unreadable + missing,
  };
}

/** The lines of the capture in `file` in for-rest's grammar, unique and sorted. */
export function forrestLinesOf(file: string): readonly string[] {
  let identify = identifyAccounted(createIdentifier());
  const lines = new ForRestLines({ name: (facts) => identify(facts).name });
  let begun = false;
  read(file, () => (item) => {
    if (item.kind === "text" && item.name === captureTexts.base) identify = identifierOf(item.text);
    else if (item.kind === "scan" && !begun) {
      lines.begin(item.processes);
      begun = true;
    } else if (isEvent(item)) lines.event(item);
  });
  if (lines.missed > 0) warn(`${lines.missed} events found no room: these lines are not all of them`);
  return lines.lines();
}

function read(file: string, sinkOf: (capture: Capture) => (item: CaptureItem) => void): void {
  let input: CaptureInput;
  try {
    input = new CaptureInput(file);
  } catch (error) {
    throw new CommandError(exitCodes.usage, readError("capture", file, error));
  }
  using _open = input;
  const opened = openCapture(input.read);
  if (!opened.ok) throw refusal(file, opened.problem);
  const end = opened.capture.read(sinkOf(opened.capture));
  if (end.kind === "damaged") throw refusal(file, end);
  warnOfEnd(file, end, "what is before that was read");
}
