// `baseline accept`: shows what a learning run has found, and puts it into force.
import { accessSync, constants } from "node:fs";
import { createInterface } from "node:readline/promises";
import { type BaselineEntry, withHabits } from "../../baseline/entry.ts";
import { type LearningState, reasonNotToAccept } from "../../baseline/learning-state.ts";
import { codeOf } from "../../linux/system-error.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { loadBaseline } from "../request-warden.ts";
import { arrivedTrees, readArrivedRows } from "./arrived-rows.ts";
import { type CandidateRows, FOREIGN_HINT, foreignText } from "./candidates.ts";
import { nowSeconds } from "./entry-output.ts";
import { entryCounts, entryListing, type InForce } from "./entry-tree.ts";
import type { BaselineHost } from "./host.ts";
import { lossText } from "./learn.ts";
import { type Proposal, type ProposalFlags, proposalOf } from "./proposal.ts";
import { mergedFile, readInForce, readLearning, writeInForce } from "./store.ts";

/** Options of every command that shows trees and then puts them into force. */
export interface ConfirmFlags {
  readonly yes?: boolean;
  readonly output?: OutputFormat;
}

export interface AcceptFlags extends ProposalFlags, ConfirmFlags {
  readonly role?: string;
  readonly anyway?: boolean;
}

/** Files whose content varies that `accept` names. */
const VARYING_SHOWN = 20;

/** Shows the trees of the learning run and puts them into force; on a terminal, after a question. */
export async function accept(flags: AcceptFlags, host: BaselineHost): Promise<void> {
  checkMayAccept(host.stateDirectory);
  const state = readLearning(host.stateDirectory);
  if (state === undefined || state.phase === "watching")
    throw new CommandError(
      exitCodes.no,
      "nothing was learned yet",
      "start with: treewarden baseline learn --for 24h",
    );
  const reason = reasonNotToAccept(state);
  if (reason !== undefined && flags.anyway !== true)
    throw new CommandError(exitCodes.no, `not accepted: ${reason}`, "continue learning, or use --anyway");
  const learned = await readArrivedRows(host.stateDirectory, () => state);
  checkRows(learned, state, flags);
  const proposal = proposalOf(learned.rows, state, flags, host.stateDirectory);
  const { entries } = proposal;
  if (entries.length === 0) throw new CommandError(exitCodes.no, "no tree was learned");
  showEntries(entries, proposal.known, flags);
  printNotes(proposal, state);
  await confirm(entries, proposal.known, flags);
  await putIntoForce(entries, state, host.stateDirectory, flags.role);
}

/** Only root can put a baseline into force, whether there is one to accept or not. Throws a CommandError. */
function checkMayAccept(stateDirectory: string): void {
  try {
    accessSync(stateDirectory, constants.W_OK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw new CommandError(
      exitCodes.notAllowed,
      `cannot write to ${stateDirectory}: only root accepts`,
      "run it with sudo",
    );
  }
}

/**
 * Refuses rows that the reporter has made up, and a journal from which it has removed some. Those that were on their way
 * when a warden ended, as at a reboot, may be missing: nobody can bring them any more.
 */
function checkRows(learned: CandidateRows, state: LearningState, { anyway }: AcceptFlags): void {
  const missing = state.trees - arrivedTrees(learned, state);
  const problems = [
    ...(learned.foreign > 0 ? [{ problem: foreignText(learned.foreign), fix: FOREIGN_HINT }] : []),
    ...(missing > state.unconfirmed
      ? [{ problem: `${missing} of ${state.trees} learned trees are not in the journal`, fix: "learn again" }]
      : []),
  ];
  const [first] = problems;
  if (first === undefined) {
    if (missing > 0) hint(lostTreesText(missing));
    return;
  }
  const lines = problems.map(({ problem }) => `not accepted: ${problem}`);
  if (anyway !== true)
    throw new CommandError(exitCodes.no, lines, `${first.fix}; --anyway accepts the others`);
  warn(...problems.map(({ problem }) => `left out: ${problem}`));
}

function lostTreesText(count: number): string {
  return `${count} trees were found shortly before treewarden ended and did not reach the journal: they are new when they run again`;
}

/** Lists the trees on a terminal, or where `--output` asks for them: a script that reads nothing gets nothing. */
export function showEntries(
  entries: readonly BaselineEntry[],
  known: InForce,
  { output }: ConfirmFlags,
): void {
  if (output === undefined && !process.stdout.isTTY) return;
  process.stdout.write(entryListing(entries, known, output ?? "pretty", "baseline.learned"));
}

/** Prints which trees were left out and why, and what incomplete and varying entries stand for. */
function printNotes({ entries, others, hidden, incomplete }: Proposal, state: LearningState): void {
  if (others > 0)
    hint(`${others} trees were seen only before or after the learning: treewarden baseline review`);
  if (hidden > 0)
    hint(`${hidden} trees are hidden by exclusions: treewarden baseline compare --show-excluded`);
  const fromMain = entries.filter((entry) => entry.fromMain).length;
  const alone = entries.filter(({ complete }) => !complete).length - fromMain;
  if (fromMain > 0)
    hint(
      `${fromMain} incomplete trees begin with the main program of their unit: they stand for longer ones too`,
    );
  if (alone > 0) hint(`${alone} incomplete trees stand for themselves alone`);
  if (incomplete > 0) hint(`${incomplete} incomplete trees were left out: treewarden baseline review`);
  const varying = [
    ...new Set(entries.flatMap(({ contents, path }) => (contents === "varies" ? [path] : []))),
  ];
  for (const path of varying.slice(0, VARYING_SHOWN)) hint(`${path} varies: its content is never compared`);
  if (varying.length > VARYING_SHOWN)
    hint(`${varying.length - VARYING_SHOWN} more files vary: treewarden baseline learn --show`);
  if (state.losses > 0) hint(lossText(state, nowSeconds()));
}

/** Asks a person at a terminal. Without one, and with `--yes`, the answer is yes: a script has decided before. */
export async function confirm(
  entries: readonly BaselineEntry[],
  known: InForce,
  { yes }: ConfirmFlags,
): Promise<void> {
  if (yes === true || !process.stdin.isTTY || !process.stderr.isTTY) return;
  process.stderr.write(`put ${entryCounts(entries, known)} into force? [y/N] `);
  const lines = createInterface({ input: process.stdin, terminal: false });
  const { done, value } = await lines[Symbol.asyncIterator]().next();
  lines.close();
  const answer = done === true ? "" : value.trim();
  if (!/^y(es)?$/i.test(answer)) throw new CommandError(exitCodes.no, "nothing was accepted");
}

/** Adds the trees of a learning run to the baseline; returns once a running warden has it in force. */
async function putIntoForce(
  learned: readonly BaselineEntry[],
  state: LearningState,
  stateDirectory: string,
  role: string | undefined,
): Promise<void> {
  const before = readInForce(stateDirectory);
  const { entries: kept, unseen } = withHabits(before?.entries ?? [], learned);
  const after = mergedFile(before && { ...before, entries: kept }, learned, role, state);
  writeInForce(stateDirectory, after);
  const { length } = after.entries;
  warn(`${length} trees are in force, ${length - (before?.entries.length ?? 0)} of them new`);
  if (unseen > 0)
    hint(
      `${unseen} trees of an earlier version were not seen again: their exact tree is their habit from now on`,
    );
  await loadBaseline(stateDirectory);
}
