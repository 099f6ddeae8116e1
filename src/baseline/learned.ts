// What was learned on its way: the warden's records of it, the reporter's table, and back into entries.
import * as v from "valibot";
import { count } from "../vocabulary/parse-json.ts";
import { parseEntry, parseUsers, timeText } from "./baseline-file.ts";
import { type BaselineEntry, USERS_LIMIT } from "./entry.ts";
import { type Executable, executableText, parseExecutables } from "./executables.ts";

/** A tree that was seen for the first time by this warden. */
export interface Candidate {
  /** 128 bits over scope, path, exact tree and whether it is complete, as 32 hexadecimal digits. */
  readonly id: string;
  readonly scope: string;
  readonly exact: string;
  readonly path: string;
  readonly tree: string;
  readonly complete: boolean;
  /** Seconds since the epoch. */
  readonly first: number;
  readonly last: number;
  /** Since this warden started: absolute, so that one that is told twice counts once. */
  readonly count: number;
  readonly users: readonly number[];
  readonly executables: readonly Executable[];
  readonly arguments: string | undefined;
}

/** What has changed of a candidate that was told before. */
export type CountUpdate = Pick<Candidate, "id" | "last" | "count" | "users">;

/** What is known by now of what a candidate runs. */
export type FileUpdate = Pick<Candidate, "id" | "executables">;

/** Event names of the three records. */
export const learnedEvent = "baseline.learned";
export const countedEvent = "baseline.counted";
export const lookedEvent = "baseline.looked";

/** Flat, as every record is. */
export type LearnedFields = {
  readonly [name: string]: string | number | boolean | readonly string[] | readonly number[];
};

/** The fields of a `baseline.learned` record. */
export function learnedFields(candidate: Candidate): LearnedFields {
  return {
    "baseline.id": candidate.id,
    "baseline.scope": candidate.scope,
    "tree.exact": candidate.exact,
    "process.runnable.path": candidate.path,
    "tree.path": candidate.tree,
    "tree.complete": candidate.complete,
    "baseline.first": candidate.first,
    "baseline.last": candidate.last,
    "tree.count": candidate.count,
    "tree.user_ids": candidate.users,
    "baseline.executables": candidate.executables.map(executableText),
    ...(candidate.arguments === undefined ? {} : { "baseline.arguments": candidate.arguments }),
  };
}

/** The fields of a `baseline.counted` record: one tree at each place of the lists. */
export function countedFields(counts: readonly CountUpdate[]): LearnedFields {
  return {
    "baseline.ids": counts.map(({ id }) => id),
    "baseline.lasts": counts.map(({ last }) => last),
    "baseline.counts": counts.map(({ count }) => count),
    "baseline.users": counts.map(({ users }) => usersText(users)),
  };
}

/** The fields of a `baseline.looked` record. */
export function lookedFields({ id, executables }: FileUpdate): LearnedFields {
  return { "baseline.id": id, "baseline.executables": executables.map(executableText) };
}

type LearnedSource = { readonly [name: string]: unknown };

const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));

const lookedRecord = v.object({ "baseline.id": id, "baseline.executables": v.array(v.string()) });

const learnedRecord = v.object({
  ...lookedRecord.entries,
  "baseline.scope": v.string(),
  "tree.exact": v.string(),
  "process.runnable.path": v.string(),
  "tree.path": v.string(),
  "tree.complete": v.boolean(),
  "baseline.first": count,
  "baseline.last": count,
  "tree.count": count,
  "tree.user_ids": v.pipe(v.array(count), v.maxLength(USERS_LIMIT)),
  "baseline.arguments": v.optional(v.string()),
});

const countedRecord = v.object({
  "baseline.ids": v.array(v.unknown()),
  "baseline.lasts": v.array(count),
  "baseline.counts": v.array(count),
  "baseline.users": v.array(v.unknown()),
});

/** The executables of a tree in a `baseline.looked` record; undefined if it is not one. */
export function lookedOf(record: LearnedSource): FileUpdate | undefined {
  const result = v.safeParse(lookedRecord, record);
  if (!result.success) return undefined;
  const texts = result.output["baseline.executables"];
  const executables = parseExecutables(texts.length === 0 ? "-" : texts.join(" "));
  return executables && { id: result.output["baseline.id"], executables };
}

/** The candidate in a `baseline.learned` record; undefined if it is not one: the reporter takes nothing on trust. */
export function candidateOf(record: LearnedSource): Candidate | undefined {
  const result = v.safeParse(learnedRecord, record);
  const looked = lookedOf(record);
  if (!result.success || looked === undefined) return undefined;
  const { output } = result;
  return {
    id: looked.id,
    scope: output["baseline.scope"],
    exact: output["tree.exact"],
    path: output["process.runnable.path"],
    tree: output["tree.path"],
    complete: output["tree.complete"],
    first: output["baseline.first"],
    last: output["baseline.last"],
    count: output["tree.count"],
    users: output["tree.user_ids"],
    executables: looked.executables,
    arguments: output["baseline.arguments"],
  };
}

/** The updates in a `baseline.counted` record; those that are malformed are left out. */
export function countedOf(record: LearnedSource): readonly CountUpdate[] {
  const result = v.safeParse(countedRecord, record);
  if (!result.success) return [];
  const { "baseline.lasts": lasts, "baseline.counts": counts, "baseline.users": users } = result.output;
  const updates: CountUpdate[] = [];
  for (const [index, ofTree] of result.output["baseline.ids"].entries()) {
    const last = lasts[index];
    const times = counts[index];
    const text = users[index];
    const list = typeof text === "string" ? parseUsers(text) : undefined;
    if (v.is(id, ofTree) && last !== undefined && times !== undefined && list !== undefined)
      updates.push({ id: ofTree, last, count: times, users: list });
  }
  return updates;
}

export function usersText(users: readonly number[]): string {
  return users.length === 0 ? "-" : users.join(",");
}

/**
 * The reporter's table. `origin` names the warden that counted (its run and generation), so that an absolute count
 * told again replaces itself and those of several wardens add up. Times are seconds since the epoch.
 */
export const LEARNED_TABLE = `CREATE TABLE IF NOT EXISTS learned(
  origin TEXT NOT NULL, id TEXT NOT NULL,
  scope TEXT NOT NULL, exact TEXT NOT NULL, path TEXT NOT NULL, tree TEXT NOT NULL, complete INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, users TEXT NOT NULL,
  arguments TEXT, executables TEXT,
  PRIMARY KEY(origin, id)) WITHOUT ROWID`;

/** A row of the table as an entry; a text says what is wrong with it: what the reporter wrote is only a proposal. */
export function entryOfRow(row: LearnedSource): BaselineEntry | string {
  const text = (name: string, missing = ""): string => {
    const value = row[name];
    return typeof value === "string" && value !== "" ? value : missing;
  };
  const number = (name: string): number => {
    const value = row[name];
    return v.is(count, value) ? value : -1;
  };
  if (number("first") < 0 || number("last") < 0)
    return "first and last seen: expected seconds since the epoch";
  return parseEntry([
    text("scope"),
    text("exact"),
    text("path"),
    text("tree"),
    row.complete === 1 ? "complete" : "incomplete",
    timeText(number("first")),
    timeText(number("last")),
    String(number("count")),
    text("users"),
    "1",
    text("executables", "-"),
    text("arguments", "-"),
  ]);
}
