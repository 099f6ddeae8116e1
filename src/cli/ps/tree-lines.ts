// `ps --tree`: the processes below those that started them.
import type { FoundProcess } from "../../forest/forest.ts";
import { unambiguous } from "../../linux/text.ts";
import { columnLines } from "../columns.ts";
import { commandOf } from "./command-of.ts";

const PID_COLUMN = 1;

/** What is shown of a process besides its pid and its command. */
export interface TreeRow {
  readonly isUnknown: boolean;
  readonly hasVerdict: boolean;
  readonly user: string;
  readonly start: string;
  readonly unit: string;
}

/** A title and a line for each process, parents first. `describe` is called once for each; `width`: characters of a line. */
export function treeLines(
  found: readonly FoundProcess[],
  describe: (found: FoundProcess) => TreeRow,
  width: number,
): string[] {
  const rows: (readonly string[])[] = [["", "PID", "USER", "START", "UNIT", "COMMAND"]];
  for (const { entry, depth } of inOrder(found)) {
    const { isUnknown, hasVerdict, user, start, unit } = describe(entry);
    const marks = `${isUnknown ? "*" : ""}${hasVerdict ? "!" : ""}`;
    const indent = depth === 0 ? "" : `${"  ".repeat(depth - 1)}└ `;
    const command = unambiguous(commandOf(entry));
    rows.push([marks, String(entry.process.pid), user, start, unit, `${indent}${command}`]);
  }
  return columnLines(rows, new Set([PID_COLUMN])).map((line) =>
    line.length > width ? `${line.slice(0, Math.max(0, width - 3)).toWellFormed()}...` : line,
  );
}

/** Parents before children, by pid. A process whose parent has ended stands below the one that has adopted it. */
function inOrder(found: readonly FoundProcess[]): { readonly entry: FoundProcess; readonly depth: number }[] {
  const shown = found.filter(({ process }) => !process.kernelThread);
  const byPid = new Map(shown.map((entry) => [entry.process.pid, entry]));
  const children = Map.groupBy(shown, (entry) => parentOf(entry, byPid));
  const ordered: { readonly entry: FoundProcess; readonly depth: number }[] = [];
  const waiting = sorted(children.get(undefined) ?? []).map((entry) => ({ entry, depth: 0 }));
  const seen = new Set<FoundProcess>();
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { entry, depth } = next;
    if (seen.has(entry)) continue;
    seen.add(entry);
    ordered.push(next);
    waiting.unshift(...sorted(children.get(entry) ?? []).map((each) => ({ entry: each, depth: depth + 1 })));
  }
  // A scan is not atomic, so reused pids may form a cycle that no root leads to.
  return [...ordered, ...shown.filter((entry) => !seen.has(entry)).map((entry) => ({ entry, depth: 0 }))];
}

function parentOf(
  { process, facts }: FoundProcess,
  byPid: ReadonlyMap<number, FoundProcess>,
): FoundProcess | undefined {
  for (const pid of [process.parentPid, facts.parentPid]) {
    const parent = pid === undefined ? undefined : byPid.get(pid);
    if (parent !== undefined && parent.process !== process && parent.process.startTicks <= process.startTicks)
      return parent;
  }
  return undefined;
}

function sorted(entries: readonly FoundProcess[]): FoundProcess[] {
  return entries.toSorted((a, b) => a.process.pid - b.process.pid);
}
