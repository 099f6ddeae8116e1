// Reads and writes baseline files: sorted text with one tree per line, so that git and people can read them. The format
// is described in docs/baseline.md.
import { printable } from "../linux/text.ts";
import { allSteps, type Steps } from "../vocabulary/steps.ts";
import { CONTENTS_LIMIT, contentsText, parseContents } from "./contents.ts";
import { isDestination, parseDestination } from "./destination.ts";
import { type BaselineEntry, keyText } from "./entry.ts";
import { executablesText, isDigest, parseExecutables } from "./executables.ts";
import { compareKeys } from "./key.ts";
import { parseCount } from "./parse-count.ts";
import { parseUsers, USERS_LIMIT } from "./users.ts";

/** The header above the entries. Times are seconds since the epoch. */
export interface Header {
  /** Role of the host; undefined if none is given. */
  readonly role: string | undefined;
  readonly hosts: readonly string[];
  readonly created: number;
  readonly learnedFrom: number;
  readonly learnedTo: number;
}

export interface BaselineFile {
  readonly header: Header;
  readonly entries: readonly BaselineEntry[];
}

/** An error in a file. Lines count from 1; 0 stands for the whole file. */
export interface FileError {
  readonly line: number;
  readonly message: string;
}

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: readonly FileError[] };

const FORMAT = "treewarden-baseline";
const VERSION = 3;
/** Version 2 had no habits, and did not say which incomplete trees stand for longer ones. */
const VERSION_WITHOUT_HABITS = 2;
/** Version 1 had in addition the columns `package` and `file digest`, which were never filled, in place of `executables`. */
const FIRST_VERSION = 1;
const oldVersions: readonly number[] = [FIRST_VERSION, VERSION_WITHOUT_HABITS];
const COLUMNS =
  "# scope, exact tree, habit (= the same), runnable path, tree (= the same), lineage, first seen, last seen, count, users, hosts, executables, contents, arguments";
const FIELDS = 14;
const FIELDS_WITHOUT_HABIT = 12;
const FIRST_FIELDS = 13;
/** The habit of an entry that was written by a version that knew none. */
const UNKNOWN_HABIT = "-";
/** The column `lineage` of an incomplete tree that begins with the main program of its unit. */
const FROM_MAIN = "incomplete,main";
/** Bounds of a file: ten times the documented number of trees, and lines with room for the longest path, escaped. */
const ENTRIES_LIMIT = 1_000_000;
/** Less than a millisecond. */
const ENTRIES_IN_A_STEP = 64;
const LINE_LIMIT = 65_536;
const HOSTS_LIMIT = 1_000;
/** Maximum number of errors that are reported for one file. */
const ERRORS_LIMIT = 20;
/** The last second of year 9999, so that every year has four digits. */
const LAST_SECOND = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/** The file's text. Entries with equal keys must have been merged. */
export function formatBaseline({ header, entries }: BaselineFile): string {
  const lines = [...entries].sort(compareKeys).map(formatEntry);
  const body = lines.map((line) => `${line}\n`).join("");
  const top = [
    `${FORMAT} ${VERSION}`,
    ...(header.role === undefined ? [] : [`role ${printable(header.role)}`]),
    ...header.hosts.slice(0, HOSTS_LIMIT).map((host) => `host ${printable(host)}`),
    `created ${timeText(header.created)}`,
    `learned ${timeText(header.learnedFrom)} ${timeText(header.learnedTo)}`,
    `entries ${entries.length}`,
    `digest ${bodyDigest(Buffer.from(body))}`,
    COLUMNS,
    "",
  ];
  return `${top.join("\n")}\n${body}`;
}

/** One entry as a line without its line feed. */
export function formatEntry(entry: BaselineEntry): string {
  return [
    entry.scope,
    entry.exact,
    entry.beforeHabits ? UNKNOWN_HABIT : entry.habit === entry.exact ? "=" : entry.habit,
    entry.path,
    entry.tree === entry.exact ? "=" : entry.tree,
    lineageText(entry.complete, entry.fromMain),
    timeText(entry.first),
    timeText(entry.last),
    entry.count,
    entry.users.length === 0 ? "-" : entry.users.join(","),
    entry.hosts,
    executablesText(entry.executables),
    contentsText(entry.contents),
    entry.arguments ?? "-",
  ].join("\t");
}

/** The column `lineage`. */
export function lineageText(complete: boolean, fromMain: boolean): string {
  return complete ? "complete" : fromMain ? FROM_MAIN : "incomplete";
}

/** Seconds since the epoch as RFC 3339 text, in UTC and whole seconds. */
export function timeText(seconds: number): string {
  return `${new Date(Math.min(Math.max(0, Math.floor(seconds)), LAST_SECOND) * 1000).toISOString().slice(0, 19)}Z`;
}

/** Parses the output of `timeText` to seconds since the epoch; undefined for any other text. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const seconds = Date.parse(text) / 1000;
  return Number.isNaN(seconds) || timeText(seconds) !== text ? undefined : seconds;
}

/** SHA-256 over the lines of the entries, including line feeds. */
function bodyDigest(body: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(body).digest("hex")}`;
}

/**
 * Reads a file. `sink` is not called before the digest over the entries has been verified. If an entry is invalid, the
 * result has the errors, and the caller must discard the entries it got. `edited` is for files edited by hand: it
 * accepts a missing digest, a wrong number of entries and any order.
 */
export function readBaseline(
  bytes: Uint8Array,
  sink: (entry: BaselineEntry) => void,
  edited = false,
): ParseResult<Header> {
  return allSteps(readingBaseline(bytes, sink, edited));
}

/** As `readBaseline`, some entries at a time. */
export function* readingBaseline(
  bytes: Uint8Array,
  sink: (entry: BaselineEntry) => void,
  edited = false,
): Steps<ParseResult<Header>> {
  const errors: FileError[] = [];
  const addError = (line: number, message: string): void => {
    if (errors.length < ERRORS_LIMIT) errors.push({ line, message });
  };
  const head = readHeader(bytes, edited, addError);
  if (head === undefined) return { ok: false, errors };
  let count = 0;
  let previous: BaselineEntry | undefined;
  for (let { start, line } = head.body; start < bytes.length && errors.length < ERRORS_LIMIT; line++) {
    const end = endOfLine(bytes, start);
    const entry = readEntry(bytes, start, end, head.version, (message) => addError(line, message));
    start = end + 1;
    count += 1;
    if (count % ENTRIES_IN_A_STEP === 0) yield;
    if (count > ENTRIES_LIMIT) {
      addError(line, `more than ${ENTRIES_LIMIT} entries`);
      break;
    }
    if (entry === undefined) continue;
    if (previous !== undefined && compareKeys(previous, entry) >= 0) {
      const why = keyText(previous) === keyText(entry) ? "the same entry twice" : "not in order";
      if (!edited) addError(line, `${why}: entries are sorted by scope, habit and path, each once`);
    }
    previous = entry;
    sink(entry);
  }
  if (!edited && count !== head.entries && errors.length === 0)
    addError(0, `${count} entries where the header says ${head.entries}`);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: head.header };
}

/** Reads a whole file into memory, for commands. */
export function parseBaseline(bytes: Uint8Array, edited = false): ParseResult<BaselineFile> {
  const entries: BaselineEntry[] = [];
  const header = readBaseline(bytes, (entry) => entries.push(entry), edited);
  return header.ok ? { ok: true, value: { header: header.value, entries } } : header;
}

type AddError = (line: number, message: string) => void;

interface ParsedHeader {
  readonly version: number;
  readonly header: Header;
  readonly entries: number;
  readonly body: { readonly start: number; readonly line: number };
}

/** The lines of a header read so far, by their first word. */
interface Draft {
  role: string | undefined;
  hosts: string[];
  created: number | undefined;
  learned: readonly [number, number] | undefined;
  entries: number | undefined;
  digest: string | undefined;
}

function readHeader(bytes: Uint8Array, edited: boolean, addError: AddError): ParsedHeader | undefined {
  const draft: Draft = {
    role: undefined,
    hosts: [],
    created: undefined,
    learned: undefined,
    entries: undefined,
    digest: undefined,
  };
  let start = 0;
  let line = 1;
  let version = VERSION;
  for (; ; line++) {
    if (start >= bytes.length || line > HOSTS_LIMIT + 100) {
      addError(line, "the header does not end: an empty line stands between it and the entries");
      return undefined;
    }
    const end = endOfLine(bytes, start);
    const text = decodeLine(bytes, start, end);
    start = end + 1;
    if (text === undefined) addError(line, "not printable UTF-8");
    else if (line === 1) {
      version = oldVersions.find((old) => text === `${FORMAT} ${old}`) ?? VERSION;
      if (text === `${FORMAT} ${version}`) continue;
      addError(
        line,
        text.startsWith(`${FORMAT} `)
          ? `format ${text.slice(FORMAT.length + 1)} is not known: only ${[...oldVersions, VERSION].join(", ")} are`
          : `not a baseline: the first line must be "${FORMAT} ${VERSION}"`,
      );
      return undefined;
    } else if (text === "") break;
    else if (!text.startsWith("#")) {
      const problem = readHeaderLine(text, draft);
      if (problem !== undefined) addError(line, problem);
      else continue;
    } else continue;
    return undefined;
  }
  const { created, learned, entries, digest } = draft;
  if (created === undefined || learned === undefined) {
    addError(line, `the header has no line "${created === undefined ? "created" : "learned"}"`);
    return undefined;
  }
  if (!edited && (digest === undefined || entries === undefined)) {
    addError(line, `the header has no line "${digest === undefined ? "digest" : "entries"}"`);
    return undefined;
  }
  if (digest !== undefined && digest !== bodyDigest(bytes.subarray(start))) {
    addError(0, "the entries are not those that the digest in the header was made of");
    return undefined;
  }
  const header = {
    role: draft.role,
    hosts: draft.hosts,
    created,
    learnedFrom: learned[0],
    learnedTo: learned[1],
  };
  return { version, header, entries: entries ?? 0, body: { start, line: line + 1 } };
}

/** Reads a line of the header into `draft`. Returns an error message, or undefined if the line is valid. */
function readHeaderLine(text: string, draft: Draft): string | undefined {
  const space = text.indexOf(" ");
  const word = space === -1 ? text : text.slice(0, space);
  const value = space === -1 ? "" : text.slice(space + 1);
  switch (word) {
    case "role":
      if (value === "") return "role: expected a name";
      draft.role = value;
      return undefined;
    case "host":
      if (value === "" || draft.hosts.length >= HOSTS_LIMIT)
        return `host: expected at most ${HOSTS_LIMIT} names`;
      draft.hosts.push(value);
      return undefined;
    case "created":
      draft.created = parseTime(value);
      return draft.created === undefined
        ? "created: expected a time such as 2026-01-31T12:00:00Z"
        : undefined;
    case "learned": {
      const [from, to, extra] = value.split(" ").map(parseTime);
      if (from === undefined || to === undefined || extra !== undefined || to < from)
        return "learned: expected two times such as 2026-01-31T12:00:00Z, the earlier one first";
      draft.learned = [from, to];
      return undefined;
    }
    case "entries":
      draft.entries = parseCount(value);
      return draft.entries === undefined ? "entries: expected a number" : undefined;
    case "digest":
      draft.digest = value;
      return isDigest(value) ? undefined : "digest: expected sha256: and 64 hexadecimal digits";
    default:
      return `"${word}": the header has role, host, created, learned, entries and digest`;
  }
}

function readEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
  onError: (message: string) => void,
): BaselineEntry | undefined {
  const text = end - start > LINE_LIMIT ? undefined : decodeLine(bytes, start, end);
  if (text === undefined) {
    onError(`not printable UTF-8, or longer than ${LINE_LIMIT} bytes`);
    return undefined;
  }
  const fields = text.split("\t");
  const result = parseEntry(upgraded(fields, version));
  if (typeof result !== "string") return result;
  onError(result);
  return undefined;
}

/** Upgrades the columns of an older version. Malformed lines become empty, and so are rejected. */
function upgraded(fields: readonly string[], version: number): readonly string[] {
  if (version === VERSION) return fields;
  if (version === FIRST_VERSION) {
    if (fields.length !== FIRST_FIELDS) return [];
    return upgraded([...fields.slice(0, 10), "-", ...fields.slice(12)], VERSION_WITHOUT_HABITS);
  }
  if (fields.length !== FIELDS_WITHOUT_HABIT) return [];
  const [scope = "", exact = "", ...rest] = fields;
  return [scope, exact, UNKNOWN_HABIT, ...rest.slice(0, -1), contentsText("unknown"), ...rest.slice(-1)];
}

/** An entry from the columns of a line or of a row of the journal; a string result is an error message. */
export function parseEntry(fields: readonly string[]): BaselineEntry | string {
  if (fields.length !== FIELDS) return `${fields.length} columns, separated by tabs, where ${FIELDS} belong`;
  const [scope = "", exact = "", habit = "", path = "", tree = "", lineage = "", ...rest] = fields;
  const [firstText = "", lastText = "", countText = "", usersText = "", hostsText = "", ...remaining] = rest;
  if (fields.some((field) => field === "" || printable(field) !== field))
    return "an empty column, or one that is not printable";
  if (!exact.startsWith("/")) return "the exact tree must begin with a slash";
  if (habit !== "=" && habit !== UNKNOWN_HABIT && !habit.startsWith("/"))
    return "the habit must begin with a slash, be = (the exact tree), or - (not known)";
  if (isDestination(path)) {
    if (parseDestination(path) === undefined)
      return "the destination must be such as outbound:tcp:198.51.100.0/24:https, of a prefix of 32, 24, 16 or 0 (IPv6: 128, 64, 48 or 0)";
  } else if (!/^(?:userns:)?(?:\/|memfd:)/.test(path))
    return "the runnable path must begin with a slash, memfd:, userns: or outbound:";
  if (tree !== "=" && !tree.startsWith("/")) return "the tree must begin with a slash, or be =";
  if (lineage !== "complete" && lineage !== "incomplete" && lineage !== FROM_MAIN)
    return `lineage "${lineage}": expected complete, incomplete or ${FROM_MAIN}`;
  const first = parseTime(firstText);
  const last = parseTime(lastText);
  if (first === undefined || last === undefined || last < first)
    return "first and last seen: expected times such as 2026-01-31T12:00:00Z, the earlier one first";
  const count = parseCount(countText);
  const hosts = parseCount(hostsText);
  if (count === undefined || hosts === undefined) return "count and hosts: expected numbers";
  const users = parseUsers(usersText);
  if (users === undefined)
    return `users: expected at most ${USERS_LIMIT} numbers with commas between, ascending, or -`;
  const [executablesList = "", contentsList = "", sample = ""] = remaining;
  const executables = parseExecutables(executablesList);
  if (executables === undefined)
    return "executables: expected PATH,PACKAGE,sha256:DIGEST, in order, with a space between, or -";
  const contents = parseContents(contentsList);
  if (contents === undefined)
    return `contents: expected packaged, varies, at most ${CONTENTS_LIMIT} of sha256:DIGEST, in order, with a comma between, or -`;
  return {
    scope,
    exact,
    habit: habit === "=" || habit === UNKNOWN_HABIT ? exact : habit,
    beforeHabits: habit === UNKNOWN_HABIT,
    path,
    tree: tree === "=" ? exact : tree,
    complete: lineage === "complete",
    fromMain: lineage === FROM_MAIN,
    first,
    last,
    count,
    users,
    hosts,
    executables,
    contents,
    arguments: sample === "-" ? undefined : sample,
  };
}

const LINE_FEED = 10;

function endOfLine(bytes: Uint8Array, start: number): number {
  const end = bytes.indexOf(LINE_FEED, start);
  return end === -1 ? bytes.length : end;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of a line; undefined if it has bytes other than tabs and printable UTF-8. */
function decodeLine(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    const text = utf8.decode(bytes.subarray(start, end));
    const withoutTabs = text.replaceAll("\t", "");
    return printable(withoutTabs) === withoutTabs ? text : undefined;
  } catch {
    return undefined;
  }
}
