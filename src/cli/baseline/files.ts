// `baseline diff`, `export`, `import` and `merge`: baselines as files.

import { type BaselineFile, formatBaseline } from "../../baseline/baseline-file.ts";
import {
  type BaselineEntry,
  diffEntries,
  mergeEntries,
  withFoldedDestinations,
} from "../../baseline/entry.ts";
import type { OutputName } from "../../vocabulary/event-names.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { loadBaseline } from "../request-warden.ts";
import { entriesOf, forrestLinesOf } from "./capture-entries.ts";
import { entryFields, entryLine, executableFacts, jsonLine, nowSeconds } from "./entry-output.ts";
import type { BaselineHost } from "./host.ts";
import { headerOf, readBaselineFile, readInForce, readKnown, writeInForce, writeWhole } from "./store.ts";

/** Writes to `out`, or to standard output. */
export function deliver(text: string, out: string | undefined): void {
  if (out === undefined) process.stdout.write(text);
  else writeWhole(out, text);
}

export interface DiffFlags {
  readonly output: OutputFormat;
}

/** What `after` has and `before` has not, and the other way round; with one file, that is compared with what is in force. */
export function diff(first: string, second: string | undefined, flags: DiffFlags, host: BaselineHost): void {
  const before = second === undefined ? known(host.stateDirectory) : readBaselineFile(first, true).entries;
  const after = readBaselineFile(second ?? first, true);
  const { added, removed } = diffEntries(before, after.entries);
  const json = flags.output === "json";
  const lines = (entries: readonly BaselineEntry[], sign: string, event: OutputName): string =>
    entries
      .map((entry) =>
        json ? jsonLine(event, entryFields(entry)) : `${sign} ${entryLine(entry)}\n${runs(entry)}`,
      )
      .join("");
  process.stdout.write(lines(removed, "-", "baseline.removed") + lines(added, "+", "baseline.added"));
  if (added.length + removed.length > 0) process.exitCode = exitCodes.no;
}

function runs({ executables }: BaselineEntry): string {
  return executables.length === 0
    ? ""
    : executableFacts(executables)
        .map((fact) => `    ${fact}\n`)
        .join("");
}

/** The host's own; what comes with its roles is in a file already. */
function inForce(stateDirectory: string): BaselineFile {
  return readInForce(stateDirectory) ?? nothingInForce();
}

function known(stateDirectory: string): readonly BaselineEntry[] {
  return readKnown(stateDirectory) ?? nothingInForce();
}

function nothingInForce(): never {
  throw new CommandError(exitCodes.no, "there is no baseline in force", "learn and accept one first");
}

export interface ExportFlags {
  readonly capture?: string;
  readonly format: "trees" | "forrest";
  readonly role?: string;
  readonly out?: string;
}

/** The baseline in force, or that which a capture would make. */
export function exportBaseline(flags: ExportFlags, host: BaselineHost): void {
  if (flags.format === "forrest") {
    if (flags.capture === undefined)
      throw new CommandError(
        exitCodes.usage,
        "--format forrest needs --capture: a baseline has no forks and ends",
        "make one with treewarden record",
      );
    deliver(
      forrestLinesOf(flags.capture)
        .map((line) => `${line}\n`)
        .join(""),
      flags.out,
    );
    return;
  }
  if (flags.capture === undefined) {
    const file = inForce(host.stateDirectory);
    const role = flags.role ?? file.header.role;
    deliver(formatBaseline({ header: { ...file.header, role }, entries: file.entries }), flags.out);
    return;
  }
  const { host: hostName, entries: captured, losses } = entriesOf(flags.capture);
  const entries = mergeEntries([captured], false);
  if (losses > 0) warn(`the capture has ${losses} losses: there may have been more trees`);
  const header = headerOf(entries, hostName === "" ? [] : [hostName], flags.role, nowSeconds());
  deliver(formatBaseline({ header, entries }), flags.out);
}

/**
 * Puts a file into force, in place of what was. One without a digest line is taken: somebody edited it. Returns once a
 * running warden has it in force.
 */
export async function importBaseline(path: string, host: BaselineHost): Promise<void> {
  const file = readBaselineFile(path, true);
  const before = readInForceOrBroken(host.stateDirectory);
  const entries = mergeEntries([file.entries], false);
  writeInForce(host.stateDirectory, { header: file.header, entries });
  warn(`${entries.length} trees are in force${before === undefined ? "" : `, instead of ${before}`}`);
  await loadBaseline(host.stateDirectory);
}

/** How many trees are in force; a broken file is what an import repairs. */
function readInForceOrBroken(stateDirectory: string): number | undefined {
  try {
    return readInForce(stateDirectory)?.entries.length;
  } catch (error) {
    if (error instanceof CommandError && error.code === exitCodes.usage) return undefined;
    throw error;
  }
}

export interface MergeFlags {
  readonly role?: string;
  readonly out?: string;
}

/** Baselines of several hosts as one. */
export function merge(paths: readonly string[], flags: MergeFlags): void {
  const files = paths.map((path) => readBaselineFile(path, true));
  const merged = mergeEntries(
    files.map((file) => file.entries),
    true,
  );
  const entries = withFoldedDestinations(merged);
  const roles = new Set(files.map(({ header }) => header.role));
  const [only] = roles;
  const header = {
    role: flags.role ?? (roles.size === 1 ? only : undefined),
    hosts: [...new Set(files.flatMap(({ header: { hosts } }) => hosts))].sort(),
    created: nowSeconds(),
    learnedFrom: Math.min(...files.map(({ header: { learnedFrom } }) => learnedFrom)),
    learnedTo: Math.max(...files.map(({ header: { learnedTo } }) => learnedTo)),
  };
  deliver(formatBaseline({ header, entries }), flags.out);
}
