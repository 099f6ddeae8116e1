// Replaces the secrets in the arguments of a program.
import type { RE2JS } from "re2js";
import { secretsInCommand } from "./command-secrets.ts";
import { secretsInScript } from "./script-secrets.ts";
import { HIDDEN, hideSpans, mergeSpans, type Span } from "./spans.ts";

/** Arguments longer than this are cut before redaction, so that unchecked text never leaves the host. */
const LONGEST = 4_096;
/** The characters of all arguments together that are examined. What lies beyond is left out. */
const LONGEST_TOGETHER = 65_536;
/** The secrets that are searched for in all arguments, which bounds the work. */
const MOST_SECRETS = 8;

/**
 * Replaces every secret that is recognised by its name or shape, or by one of the `configured` expressions. A secret that
 * was recognised in one place is replaced in all arguments.
 */
export function redactArguments(args: readonly string[], configured: readonly RE2JS[] = []): string[] {
  const values = bounded(args);
  const found = spansOf(values);
  const secrets = found.size === 0 ? [] : secretsOf(values, found);
  return values.map((value, i) => {
    const spans = found.get(i) ?? [];
    let safe = found.size === 0 ? value : hideSpans(value, [...spans, ...occurrences(value, secrets)]);
    for (const pattern of configured) safe = pattern.matcher(safe).replaceAll(HIDDEN);
    return safe;
  });
}

/** Redacts one text with what may be shell code, as in arguments that were joined. */
export function redactText(text: string, configured: readonly RE2JS[] = []): string {
  return redactArguments(["-c", text], configured)[1] ?? "";
}

function bounded(args: readonly string[]): readonly string[] {
  let remaining = LONGEST_TOGETHER;
  return args.map((arg) => {
    const length = Math.min(arg.length, LONGEST, remaining);
    remaining -= length;
    return length < arg.length ? `${arg.slice(0, endOfCut(arg, length))}...` : arg;
  });
}

/** How far a cut is moved to the end of a word. */
const LONGEST_WORD = 256;

/** Where to cut a text that is too long: between two words, because half a secret is not recognised. */
function endOfCut(text: string, length: number): number {
  for (let end = length; end > length - LONGEST_WORD && end > 0; end -= 1)
    if (/\s/.test(text.charAt(end - 1))) return end;
  return length;
}

/** The secrets of the arguments that have any, by their index. */
function spansOf(values: readonly string[]): ReadonlyMap<number, readonly Span[]> {
  const found = new Map<number, readonly Span[]>();
  for (const [i, span] of secretsInCommand(values)) found.set(i, [span]);
  for (const [i, value] of values.entries()) {
    if (!mayHaveSecret(value)) continue;
    const spans = secretsInScript(value);
    if (spans.length > 0) found.set(i, [...(found.get(i) ?? []), ...spans]);
  }
  return found;
}

/** Most arguments are short words without anything that a finder looks for, which saves all of them. */
function mayHaveSecret(value: string): boolean {
  return value.length >= 16 || /[=:\s$]/.test(value);
}

/** The hidden texts that are unlikely to be ordinary words. */
function secretsOf(
  values: readonly string[],
  found: ReadonlyMap<number, readonly Span[]>,
): readonly string[] {
  const secrets = new Set<string>();
  for (const [i, spans] of found) {
    for (const { start, end } of mergeSpans(spans)) {
      const secret = (values[i] ?? "").slice(start, end).replaceAll(/^["']|["']$/g, "");
      if (isDistinctive(secret) && secrets.size < MOST_SECRETS) secrets.add(secret);
    }
  }
  return [...secrets];
}

function isDistinctive(secret: string): boolean {
  const { length } = secret;
  return (
    length >= 6 && length <= 256 && /\d/.test(secret) && /[A-Za-z]/.test(secret) && !/^[/~.]|\s/.test(secret)
  );
}

function occurrences(value: string, secrets: readonly string[]): readonly Span[] {
  const spans: Span[] = [];
  for (const secret of secrets)
    for (let i = value.indexOf(secret); i >= 0; i = value.indexOf(secret, i + secret.length))
      spans.push({ start: i, end: i + secret.length });
  return spans;
}
