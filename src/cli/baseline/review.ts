// `baseline review`: new trees one by one. Each is put into force, excluded, turned into a rule, or left.
import { hostname } from "node:os";
import { createInterface } from "node:readline/promises";
import { type BaselineEntry, keyText, mergeEntries } from "../../baseline/entry.ts";
import { type Exclusion, parseExclusion } from "../../baseline/exclusions.ts";
import { printable, unambiguous } from "../../linux/text.ts";
import { compileTreeGlob } from "../../policy/glob.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import { findUnknown, unknownLine } from "./compare.ts";
import { entryFacts, nowSeconds } from "./entry-output.ts";
import type { BaselineHost } from "./host.ts";
import { requestWarden } from "./request-warden.ts";
import {
  headerOf,
  readBaselineFile,
  readExclusions,
  readInForce,
  writeExclusions,
  writeInForce,
} from "./store.ts";

export interface ReviewFlags {
  readonly capture?: string;
  /** Baselines of other hosts. */
  readonly other?: readonly string[];
}

interface Decided {
  readonly accepted: BaselineEntry[];
  readonly excluded: Exclusion[];
  readonly rules: object[];
}

const question = "accept, exclude, rule, skip or quit [a/e/r/s/q]? ";

/** Asks on standard error and takes its answers from standard input; what was decided is written at the end. */
export async function review(flags: ReviewFlags, host: BaselineHost): Promise<void> {
  if (process.stdin.isTTY && !process.stderr.isTTY)
    throw new CommandError(exitCodes.usage, "review asks on standard error, which is not a terminal");
  const unknown = findUnknown(flags, host);
  const { shown } = unknown;
  const others = (flags.other ?? []).map((path) => readBaselineFile(path, true).entries);
  const decided: Decided = { accepted: [], excluded: [], rules: [] };
  const answers = createInterface({ input: process.stdin, terminal: false });
  const lines = answers[Symbol.asyncIterator]();
  const next = async (prompt: string): Promise<string | undefined> => {
    process.stderr.write(prompt);
    const line = await lines.next();
    return line.done === true ? undefined : line.value.trim();
  };
  let left = shown.length;
  for (const [at, entry] of shown.entries()) {
    process.stderr.write(`\n${at + 1} of ${shown.length}: ${unknownLine(entry, unknown)}\n`);
    for (const fact of [...entryFacts(entry), `elsewhere  ${elsewhere(entry, others)}`])
      process.stderr.write(`  ${fact}\n`);
    const went = await decide(entry, decided, next);
    if (went === "quit") break;
    if (went === "decided") left -= 1;
  }
  answers.close();
  write(host.stateDirectory, decided);
  process.stdout.write(decided.rules.map((rule) => `${JSON.stringify(rule, null, 2)}\n`).join(""));
  warn(
    `${decided.accepted.length} accepted, ${decided.excluded.length} excluded, ${decided.rules.length} turned into rules, ${left} left`,
  );
  if (left > 0) process.exitCode = exitCodes.no;
}

async function decide(
  entry: BaselineEntry,
  decided: Decided,
  next: (prompt: string) => Promise<string | undefined>,
): Promise<"decided" | "left" | "quit"> {
  for (;;) {
    const answer = await next(question);
    switch (answer) {
      case undefined:
      case "q":
        return "quit";
      case "s":
        return "left";
      case "a":
        decided.accepted.push(entry);
        return "decided";
      case "r":
        decided.rules.push(ruleOf(entry));
        return "decided";
      case "e": {
        const reason = await next("why? ");
        if (reason === undefined) return "quit";
        if (reason === "") continue;
        const fields = [entry.habit, "-", entry.scope, "-", printable(reason)];
        const exclusion = parseExclusion(fields, compileTreeGlob);
        if (typeof exclusion === "string") {
          process.stderr.write(`  not possible: ${exclusion}\n`);
          continue;
        }
        decided.excluded.push(exclusion);
        return "decided";
      }
      default:
        process.stderr.write(
          "  a: it belongs to this host; e: no alarm for it; r: a rule that alerts; s: decide later\n",
        );
    }
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

/** A rule that alerts on the tree, to be put into a policy. Scope and path of a baseline are folded: no rule can ask for them. */
function ruleOf(entry: BaselineEntry): object {
  const { exact, habit } = entry;
  return {
    id: `tree-${new Bun.CryptoHasher("sha256").update(keyText(entry)).digest("hex").slice(0, 8)}`,
    description: `seen and not wanted: ${exact}`,
    when: { "==": [{ var: "tree.habit" }, habit] },
    action: "alert",
    severity: "high",
  };
}

function write(stateDirectory: string, { accepted, excluded }: Decided): void {
  if (accepted.length > 0) {
    const before = readInForce(stateDirectory);
    const entries = mergeEntries([before?.entries ?? [], accepted], false);
    const hosts = before?.header.hosts ?? [unambiguous(hostname())];
    writeInForce(stateDirectory, {
      header: headerOf(entries, hosts, before?.header.role, nowSeconds()),
      entries,
    });
  }
  if (excluded.length > 0) writeExclusions(stateDirectory, [...readExclusions(stateDirectory), ...excluded]);
  if (accepted.length + excluded.length > 0 && !requestWarden(stateDirectory, { kind: "reload-baseline" }))
    hint("no treewarden runs: it holds from the next start");
}
