// `baseline review`: goes through new trees. Each, or each with all below it, is put into force, excluded, turned into
// a rule, or left.
import { createInterface } from "node:readline/promises";
import { type BaselineEntry, keyText } from "../../baseline/entry.ts";
import { type Exclusion, parseExclusion } from "../../baseline/exclusions.ts";
import { printable } from "../../linux/text.ts";
import { globCompilers } from "../../policy/glob.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { findUnknown, type Unknown, unknownLine } from "./compare.ts";
import { Decisions } from "./decisions.ts";
import { entryFacts } from "./entry-output.ts";
import { entryFilter, entryListing, inTreeOrder, treeMatcher } from "./entry-tree.ts";
import type { BaselineHost } from "./host.ts";
import { readBaselineFile } from "./store.ts";

export interface ReviewFlags {
  readonly capture?: string;
  /** Baselines of other hosts. */
  readonly other?: readonly string[];
  readonly unit?: string;
  readonly tree?: string;
  /** Globs: with either of these nothing is asked. */
  readonly accept?: readonly string[];
  readonly exclude?: readonly string[];
  readonly reason?: string;
  readonly output: OutputFormat;
}

interface Counts {
  accepted: number;
  excluded: number;
  rules: number;
  left: number;
}

/** Exit code 1 if trees are left. */
export async function review(flags: ReviewFlags, host: BaselineHost): Promise<void> {
  const isAsking = flags.accept === undefined && flags.exclude === undefined;
  if (isAsking && process.stdin.isTTY && !process.stderr.isTTY)
    throw new CommandError(exitCodes.usage, "review asks on standard error, which is not a terminal");
  const matches = entryFilter(flags, undefined);
  const unknown = await findUnknown(flags, host);
  const shown = inTreeOrder(unknown.shown.filter(matches));
  const decisions = new Decisions(host.stateDirectory);
  const counts = isAsking
    ? await askAbout(shown, unknown, flags, decisions)
    : await decideByGlobs(shown, flags, decisions);
  warn(
    `${counts.accepted} accepted, ${counts.excluded} excluded, ${counts.rules} turned into rules, ${counts.left} left`,
  );
  if (counts.left > 0) process.exitCode = exitCodes.no;
}

/** What matches `--exclude` is not accepted, whatever else it matches. */
async function decideByGlobs(
  unknown: readonly BaselineEntry[],
  flags: ReviewFlags,
  decisions: Decisions,
): Promise<Counts> {
  const excludes = (flags.exclude ?? []).map((glob) => ({ glob, matches: treeMatcher("--exclude", glob) }));
  const accepts = (flags.accept ?? []).map((glob) => ({ glob, matches: treeMatcher("--accept", glob) }));
  const { reason = "", unit = "*" } = flags;
  if (excludes.length > 0 && reason === "")
    throw new CommandError(exitCodes.usage, "an exclusion must have a reason", 'add --reason "..."');
  if (excludes.length > 0 && unit !== "*" && /[*{}]/.test(unit))
    throw new CommandError(exitCodes.usage, "--exclude needs the name of one unit after --unit, or none");
  for (const { glob, matches } of [...excludes, ...accepts])
    if (!unknown.some(matches)) warn(`${glob} matches no new tree`);
  const patterns = excludes.filter(({ matches }) => unknown.some(matches)).map(({ glob }) => printable(glob));
  const exclusions = patterns.map((glob) => exclusionOf(glob, unit, reason));
  const excluded: BaselineEntry[] = [];
  const accepted: BaselineEntry[] = [];
  for (const entry of unknown) {
    if (excludes.some(({ matches }) => matches(entry))) excluded.push(entry);
    else if (accepts.some(({ matches }) => matches(entry))) accepted.push(entry);
  }
  const { output: format } = flags;
  if (exclusions.length > 0) await decisions.exclude(exclusions);
  if (accepted.length > 0) await decisions.accept(accepted);
  process.stdout.write(
    entryListing(accepted, undefined, format, "baseline.accepted") +
      (format === "json" ? entryListing(excluded, undefined, format, "baseline.excluded") : ""),
  );
  const left = unknown.length - excluded.length - accepted.length;
  return { accepted: accepted.length, excluded: excluded.length, rules: 0, left };
}

/** Throws a CommandError for a pattern that is invalid or matches every tree. */
function exclusionOf(pattern: string, scope: string, reason: string): Exclusion {
  const exclusion = parseExclusion([pattern, "-", scope, "-", printable(reason)], globCompilers);
  if (typeof exclusion === "string") throw new CommandError(exitCodes.usage, exclusion);
  return exclusion;
}

type Decision = "accept" | "exclude" | "rule" | "leave";

interface Answer {
  readonly decision: Decision;
  /** It is about all trees below this one, too. */
  readonly isForSubtree: boolean;
  /** Of an exclusion. */
  readonly reason: string;
}

/** Asks on standard error and takes the answers from standard input. */
async function askAbout(
  shown: readonly BaselineEntry[],
  unknown: Unknown,
  flags: ReviewFlags,
  decisions: Decisions,
): Promise<Counts> {
  const others = (flags.other ?? []).map((path) => readBaselineFile(path, true).entries);
  const lines = createInterface({ input: process.stdin, terminal: false });
  const answers = lines[Symbol.asyncIterator]();
  const next = async (prompt: string): Promise<string | undefined> => {
    process.stderr.write(prompt);
    const line = await answers.next();
    return line.done === true ? undefined : line.value.trim();
  };
  const counts: Counts = { accepted: 0, excluded: 0, rules: 0, left: shown.length };
  const waiting = [...shown];
  try {
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) {
      const number = shown.length - waiting.length;
      process.stderr.write(`\n${number} of ${shown.length}: ${unknownLine(entry, unknown)}\n`);
      for (const fact of [...entryFacts(entry), `elsewhere  ${elsewhere(entry, others)}`])
        process.stderr.write(`  ${fact}\n`);
      const below = countBelow(entry, waiting);
      const answer = await ask(entry, below, next);
      if (answer === undefined) break;
      const subtree = answer.isForSubtree ? [entry, ...waiting.splice(0, below)] : [entry];
      await carryOut(answer, subtree, decisions, counts);
    }
  } finally {
    // An open standard input would keep the command from ending.
    lines.close();
  }
  return counts;
}

/** The number of trees below `entry`, with which `waiting` begins because it is in the order of `inTreeOrder`. */
function countBelow({ scope, habit }: BaselineEntry, waiting: readonly BaselineEntry[]): number {
  const end = waiting.findIndex(
    (other) => other.scope !== scope || !`${other.habit}/`.startsWith(`${habit}/`),
  );
  return end === -1 ? waiting.length : end;
}

const decisionsByLetter: Readonly<Record<string, Decision>> = {
  a: "accept",
  e: "exclude",
  r: "rule",
  s: "leave",
};

/** One tree's answer; undefined for an end. */
async function ask(
  entry: BaselineEntry,
  below: number,
  next: (prompt: string) => Promise<string | undefined>,
): Promise<Answer | undefined> {
  const subtree = below === 0 ? "" : `; A, E, R, S: with the ${below} below it`;
  for (;;) {
    const letter = await next(`accept, exclude, rule, skip or quit [a/e/r/s/q]${subtree}? `);
    if (letter === undefined || letter === "q") return undefined;
    const decision = decisionsByLetter[letter.toLowerCase()];
    if (decision === undefined) {
      process.stderr.write(
        "  a: it belongs to this host; e: no alarm for it; r: a rule that alerts; s: decide later\n" +
          "  a capital letter: the same for every tree below it\n",
      );
      continue;
    }
    const isForSubtree = letter !== letter.toLowerCase();
    if (decision !== "exclude") return { decision, isForSubtree, reason: "" };
    if (/[*{}]/.test(entry.habit)) {
      process.stderr.write(
        "  not possible: a name has a character that patterns use; treewarden baseline exclude add\n",
      );
      continue;
    }
    const reason = await next("why? ");
    if (reason === undefined) return undefined;
    if (reason !== "") return { decision, isForSubtree, reason };
  }
}

async function carryOut(
  { decision, isForSubtree, reason }: Answer,
  entries: readonly BaselineEntry[],
  decisions: Decisions,
  counts: Counts,
): Promise<void> {
  const [entry] = entries;
  if (entry === undefined || decision === "leave") return;
  counts.left -= entries.length;
  if (decision === "accept") {
    await decisions.accept(entries);
    counts.accepted += entries.length;
  } else if (decision === "exclude") {
    const pattern = isForSubtree ? `${entry.habit}/**` : entry.habit;
    await decisions.exclude([exclusionOf(pattern, entry.scope, reason)]);
    counts.excluded += entries.length;
  } else {
    process.stdout.write(`${JSON.stringify(ruleOf(entry, isForSubtree), null, 2)}\n`);
    counts.rules += entries.length;
  }
}

/** Which other hosts know the tree. */
function elsewhere(entry: BaselineEntry, others: readonly (readonly BaselineEntry[])[]): string {
  if (others.length === 0) return "not asked: --other FILE";
  let hosts = 0;
  for (const entries of others) {
    const same = entries.find((other) => keyText(other) === keyText(entry));
    hosts += same?.hosts ?? 0;
  }
  return hosts === 0 ? "no other host has it" : `${hosts} other hosts have it`;
}

/**
 * A rule that alerts on the tree, to be put into a policy. Scope and path of a baseline are folded: no rule can ask for
 * them.
 */
function ruleOf(entry: BaselineEntry, isForSubtree: boolean): object {
  const { exact, habit } = entry;
  const isTree = { "==": [{ var: "tree.habit" }, habit] };
  return {
    id: `tree-${new Bun.CryptoHasher("sha256").update(keyText(entry)).digest("hex").slice(0, 8)}`,
    description: `seen and not wanted: ${exact}${isForSubtree ? " and all below it" : ""}`,
    when: isForSubtree ? { or: [isTree, { starts_with: [{ var: "tree.habit" }, `${habit}/`] }] } : isTree,
    action: "alert",
    severity: "high",
  };
}
