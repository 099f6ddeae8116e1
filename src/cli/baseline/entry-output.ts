// How these commands show trees: lines for people, or one flat JSON object a line.
import { timeText } from "../../baseline/baseline-file.ts";
import { type Contents, contentsText } from "../../baseline/contents.ts";
import type { BaselineEntry } from "../../baseline/entry.ts";
import { type Executable, executableText } from "../../baseline/executables.ts";
import { realtimeNow } from "../../linux/clock.ts";
import type { EventRecord } from "../../report/event-record.ts";
import { records } from "../../report/records.ts";
import { recordUids } from "../../report/stamp.ts";
import type { OutputName } from "../../vocabulary/event-names.ts";

let uids: ((wallNs: number) => string) | undefined;

/** One JSON line with the stamps that every one has. */
export function jsonLine(event: OutputName, details: EventRecord): string {
  uids ??= recordUids(crypto.getRandomValues(new Uint8Array(5)));
  return `${JSON.stringify(records.change(event, details, realtimeNow(), uids))}\n`;
}

/** An entry in the one vocabulary. */
export function entryFields(entry: BaselineEntry): EventRecord {
  return {
    "baseline.scope": entry.scope,
    "tree.exact": entry.exact,
    "tree.habit": entry.habit,
    "process.runnable.path": entry.path,
    "tree.path": entry.tree,
    "tree.complete": entry.complete,
    "baseline.first": timeText(entry.first),
    "baseline.last": timeText(entry.last),
    "tree.count": entry.count,
    "tree.user_ids": entry.users,
    "baseline.hosts": entry.hosts,
    ...(entry.executables.length === 0
      ? {}
      : { "baseline.executables": entry.executables.map(executableText) }),
    ...(entry.contents === "unknown" ? {} : { "baseline.contents": contentsText(entry.contents) }),
    ...(entry.arguments === undefined ? {} : { "baseline.arguments": entry.arguments }),
  };
}

/** An entry on one line, the tree first. */
export function entryLine(entry: BaselineEntry): string {
  const where = entry.scope === "-" ? "" : `  in ${entry.scope}`;
  return `${entry.exact}  ${entry.path}${where}${incompleteMark(entry)}`;
}

/** The mark of an entry whose tree was not seen from its root; empty for others. */
export function incompleteMark({ complete, fromMain }: BaselineEntry): string {
  if (complete) return "";
  return fromMain ? "  (incomplete, from its main program)" : "  (incomplete)";
}

/** What else is known of an entry, a fact a line. */
export function entryFacts(entry: BaselineEntry): readonly string[] {
  const times = entry.count === 1 ? "once" : `${entry.count} times`;
  return [
    `tree       ${entry.tree}`,
    ...(entry.habit === entry.exact ? [] : [`habit      ${entry.habit}`]),
    `seen       ${times}, first ${timeText(entry.first)}, last ${timeText(entry.last)}`,
    `users      ${entry.users.length === 0 ? "not known" : entry.users.join(", ")}`,
    ...executableFacts(entry.executables),
    ...contentFacts(entry.contents),
    `arguments  ${entry.arguments ?? "not known"}`,
  ];
}

/** What a leaf was seen to run, a file a line. */
export function executableFacts(executables: readonly Executable[]): readonly string[] {
  if (executables.length === 0) return ["runs       not known"];
  return executables.map(({ path, package: owner, modified, digest }) => {
    const from =
      owner === undefined
        ? "package not known"
        : owner === null
          ? "of no package"
          : `of ${owner}${modified ? ", MODIFIED" : ""}`;
    return `runs       ${path}, ${from}, ${digest ?? "digest not known"}`;
  });
}

/** The contents of its runnable's file, one a line. */
function contentFacts(contents: Contents): readonly string[] {
  switch (contents) {
    case "unknown":
      return ["content    not known"];
    case "packaged":
      return ["content    its package's"];
    case "varies":
      return ["content    varies, and is never compared"];
    default:
      return contents.map((digest) => `content    ${digest}`);
  }
}

/** Seconds since the epoch. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
