// What was learned on its way: the warden's records of it, the reporter's table, and back into entries.

import type { ChangeName } from "../vocabulary/event-names.ts";
import type { VariableName } from "../vocabulary/variables.ts";
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
export const learnedEvent = "baseline.learned" satisfies ChangeName;
export const countedEvent = "baseline.counted" satisfies ChangeName;
export const lookedEvent = "baseline.looked" satisfies ChangeName;

/** Flat, as every record is. */
export type LearnedFields = {
  readonly [N in VariableName]?: string | number | boolean | readonly string[] | readonly number[];
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

/** What a record says of a tree's executables; undefined if it is none. */
export function lookedOf(record: LearnedSource): FileUpdate | undefined {
  const id = record["baseline.id"];
  const texts = record["baseline.executables"];
  if (!isId(id) || !Array.isArray(texts)) return undefined;
  const executables = parseExecutables(texts.length === 0 ? "-" : texts.join(" "));
  return executables === undefined ? undefined : { id, executables };
}

/** The candidate of a record; undefined if it is none: the reporter takes nothing on trust. */
export function candidateOf(record: LearnedSource): Candidate | undefined {
  const id = record["baseline.id"];
  const first = record["baseline.first"];
  const last = record["baseline.last"];
  const count = record["tree.count"];
  const users = record["tree.user_ids"];
  const complete = record["tree.complete"];
  const sample = record["baseline.arguments"];
  if (!isId(id) || !isCount(first) || !isCount(last) || !isCount(count)) return undefined;
  if (typeof complete !== "boolean" || !isCounts(users) || users.length > USERS_LIMIT) return undefined;
  const scope = record["baseline.scope"];
  const exact = record["tree.exact"];
  const path = record["process.runnable.path"];
  const tree = record["tree.path"];
  if (typeof scope !== "string" || typeof exact !== "string") return undefined;
  if (typeof path !== "string" || typeof tree !== "string") return undefined;
  if (sample !== undefined && typeof sample !== "string") return undefined;
  const looked = lookedOf(record);
  if (looked === undefined) return undefined;
  const { executables } = looked;
  return {
    id,
    scope,
    exact,
    path,
    tree,
    complete,
    first,
    last,
    count,
    users,
    executables,
    arguments: sample,
  };
}

type LearnedSource = { readonly [name: string]: unknown };

/** What a record says of trees told before; those that are none are left out. */
export function countedOf(record: LearnedSource): readonly CountUpdate[] {
  const ids = record["baseline.ids"];
  const lasts = record["baseline.lasts"];
  const counts = record["baseline.counts"];
  const users = record["baseline.users"];
  if (!Array.isArray(ids) || !Array.isArray(users) || !isCounts(lasts) || !isCounts(counts)) return [];
  const found: CountUpdate[] = [];
  for (const [at, id] of ids.entries()) {
    const last = lasts[at];
    const count = counts[at];
    const own: unknown = users[at];
    const list = typeof own === "string" ? parseUsers(own) : undefined;
    if (isId(id) && last !== undefined && count !== undefined && list !== undefined)
      found.push({ id, last, count, users: list });
  }
  return found;
}

function isId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isCount);
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
    return isCount(value) ? value : -1;
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
