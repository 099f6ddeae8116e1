// What tells one repetition of a verdict from another: the arguments and the environment that a process was given, or the
// address and port that it used. It is compared, hashed and shown, at a bounded cost.
import { unambiguous } from "../linux/text.ts";
import type { Subject } from "../policy/subject.ts";
import { boundedArguments } from "./bounded-arguments.ts";
import type { EventRecord } from "./event-record.ts";
import { endpointText, networkFields } from "./network-fields.ts";

/** Arguments up to this length in characters are compared themselves, longer ones by a 64-bit hash. */
export const COMPARED_CHARACTERS = 2_048;
/** The arguments that a repeated record shows, in characters: its first full record shows more. */
const SHOWN_CHARACTERS = 512;
/** Of an argument, the characters at its beginning and at its end by which different ones are counted. */
const HASHED_CHARACTERS = 64;
/** The most arguments that are hashed, from the end, where they differ most often. */
const HASHED_ARGUMENTS = 16;

const noArguments: readonly string[] = Object.freeze([]);

/** What the repeated record of this verdict shows of it. */
export function shownOf(subject: Subject): EventRecord {
  if (subject.kind !== "exec") return networkFields(subject.network);
  const args = boundedArguments(subject.facts.args ?? noArguments, SHOWN_CHARACTERS);
  return { "process.command_args": args.map(unambiguous) };
}

/** The arguments and, behind a text that can be none of them, the environment as far as it was read and is set. */
export function givenTo(subject: Subject): readonly string[] {
  if (subject.kind !== "exec") return [endpointText(subject.network)];
  const { facts } = subject;
  const { args = noArguments, environment } = facts;
  let given: string[] | undefined;
  for (const [name, value] of environment ?? []) {
    if (value === null) continue;
    given ??= [...args, ENVIRONMENT_FOLLOWS];
    given.push(`${name}=${value}`);
  }
  return given ?? args;
}

/** Arguments end at a NUL, so none of them has one. */
const ENVIRONMENT_FOLLOWS = "\0";

/** What is compared of the arguments: themselves, or a hash of them if they are long. */
export function comparableOf(given: readonly string[], seed: number): readonly string[] | bigint {
  if (lengthOfGiven(given) <= COMPARED_CHARACTERS) return given;
  return Bun.hash.wyhash(given.join("\0"), BigInt(seed));
}

export function isSameGiven(a: readonly string[] | bigint, b: readonly string[] | bigint): boolean {
  if (a === b) return true;
  if (typeof a === "bigint" || typeof b === "bigint" || a.length !== b.length) return false;
  for (let i = a.length - 1; i >= 0; i -= 1) if (a[i] !== b[i]) return false;
  return true;
}

/** With one character between two arguments, so that thousands of empty ones count too. */
export function lengthOfGiven(args: readonly string[]): number {
  let length = args.length;
  for (const arg of args) length += arg.length;
  return length;
}

/**
 * A hash for counting: cheap, since it is made for each verdict of a flood, of bounded cost, and no proof that two lists
 * are equal.
 */
export function hashOfGiven(args: readonly string[], seed: number): number {
  let hash = Math.imul(seed ^ args.length, FNV_PRIME);
  for (let i = Math.max(0, args.length - HASHED_ARGUMENTS); i < args.length; i += 1) {
    const arg = args[i] ?? "";
    const { length } = arg;
    hash = Math.imul(hash ^ length, FNV_PRIME);
    const head = Math.min(length, HASHED_CHARACTERS);
    for (let at = 0; at < head; at += 1) hash = Math.imul(hash ^ arg.charCodeAt(at), FNV_PRIME);
    for (let at = Math.max(head, length - HASHED_CHARACTERS); at < length; at += 1)
      hash = Math.imul(hash ^ arg.charCodeAt(at), FNV_PRIME);
  }
  return hash ^ (hash >>> 15);
}

/** FNV-1a, 32 bits. */
const FNV_PRIME = 0x0100_0193;

/** The arguments joined by spaces, up to `limit` characters of them. */
export function beginningOfGiven(args: readonly string[], limit: number): string {
  let text = "";
  for (const arg of args) {
    if (arg === ENVIRONMENT_FOLLOWS) continue;
    text += text === "" ? arg : ` ${arg}`;
    if (text.length >= limit) return text.slice(0, limit);
  }
  return text;
}
