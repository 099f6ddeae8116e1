// What a capture shows: its trees as a learning would have found them, or its lines as for-rest would have.
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import { ForRestLines } from "../../baseline/for-rest.ts";
import { Scopes } from "../../baseline/key.ts";
import { entryOfRow, type LearnedTree, type LearnedUpdate } from "../../baseline/learned.ts";
import { Learning } from "../../baseline/learning.ts";
import { startLearning } from "../../baseline/learning-state.ts";
import type { BaseSystem } from "../../fingerprint/base.ts";
import { createIdentifier } from "../../fingerprint/identify.ts";
import { unambiguous } from "../../linux/text.ts";
import { identifyAccounted } from "../../offline/accounted.ts";
import { redactArguments } from "../../report/redact.ts";
import { Totals } from "../../report/totals.ts";
import { TreeTotals } from "../../report/tree-totals.ts";
import type { CaptureSink } from "../../sensor/capture/decode.ts";
import { CaptureInput } from "../../sensor/capture/file.ts";
import { type Capture, openCapture } from "../../sensor/capture/read.ts";
import { Tracker } from "../../warden/tracker.ts";
import { refusal } from "../capture-errors.ts";
import { readError } from "../file-errors.ts";
import { CommandError, exitCodes, warn } from "../output.ts";

export interface Captured {
  /** Where it was made. */
  readonly host: string;
  readonly entries: readonly BaselineEntry[];
  /** Losses that the capture tells of. */
  readonly losses: number;
  readonly unreadable: number;
}

/** The trees of the capture in `file`, in order. `base`: the base list by which programs are named. */
export function entriesOf(file: string, base: BaseSystem): Captured {
  const trees = new Map<string, LearnedTree>();
  const change = (id: string, changed: Partial<LearnedTree>): void => {
    const tree = trees.get(id);
    if (tree !== undefined) trees.set(id, { ...tree, ...changed });
  };
  const keep = (update: LearnedUpdate): true => {
    if (update.kind === "tree") trees.set(update.tree.id, update.tree);
    else if (update.kind === "counts") for (const counted of update.counts) change(counted.id, counted);
    else change(update.id, { executables: update.executables });
    return true;
  };
  const learning = new Learning({ state: startLearning(0, null), redact: redactArguments });
  const scopes = new Scopes();
  let losses = 0;
  let host = "";
  read(file, (capture) => {
    let wallOffset = capture.header.wall_offset_ns;
    host = unambiguous(capture.header.host_name);
    const totals = new Totals();
    const tracker = new Tracker(
      {
        identify: identifyAccounted(createIdentifier({ base })),
        totals,
        trees: new TreeTotals(totals, { mode: "off", limit: 1 }, () => 0),
        suspendedNs: capture.header.suspended_ns,
        isKnown: () => false,
      },
      {
        onFork: () => {},
        onExit: () => {},
        onLoss: () => {
          losses += 1;
        },
        onExec: ({ process, facts, time }) => {
          const { lineage } = process;
          const scope = scopes.of(facts.cgroup, lineage.container, undefined);
          const second = Math.max(0, Math.floor((time + wallOffset) / 1e9));
          learning.observe(lineage, scope, facts.args, second, facts);
          learning.report(keep);
        },
      },
    );
    return {
      clock: (offset) => {
        wallOffset = offset;
      },
      event: (event) => tracker.handle(event),
      scan: (processes, time) => {
        tracker.forget(tracker.reconcile(processes, time).missing);
      },
    };
  });
  const entries = [...trees.values()].map(entryOfRow).filter((entry) => typeof entry !== "string");
  const missing = trees.size - entries.length;
  return {
    host,
    entries: mergeEntries([entries], false),
    losses,
    unreadable: learning.state.unreadable + missing,
  };
}

/** The lines of the capture in `file` in for-rest's grammar, unique and sorted. */
export function forrestLinesOf(file: string, base: BaseSystem): readonly string[] {
  const identify = identifyAccounted(createIdentifier({ base }));
  const lines = new ForRestLines({ name: (facts) => identify(facts).name });
  let begun = false;
  read(file, () => ({
    clock: () => {},
    event: (event) => lines.event(event),
    scan: (processes) => {
      if (!begun) lines.begin(processes);
      begun = true;
    },
  }));
  if (lines.missed > 0) warn(`${lines.missed} events found no room: these lines are not all of them`);
  return lines.lines();
}

function read(file: string, sinkOf: (capture: Capture) => CaptureSink): void {
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
  if (end.kind === "cut") warn(`${file}: cut at byte ${end.at}: what is whole before it was read`);
}
