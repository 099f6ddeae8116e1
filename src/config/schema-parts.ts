// The parts of which the schema of the configuration is made: each checks a value and has the message for a wrong one.
import * as v from "valibot";
import { parseAddress } from "../linux/socket-address.ts";
import { parseDuration } from "../vocabulary/duration.ts";
import { eitherOf, shownValue } from "../vocabulary/error-text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { compileRegularExpression } from "../vocabulary/regular-expression.ts";
import { isMailbox } from "./mailbox.ts";

type MessageOf = (issue: v.BaseIssue<unknown>) => string;

/** The message for a value that is not `wanted`. It follows the name of the setting. */
export function mustBe(wanted: string, show: (found: unknown) => string = shownValue): MessageOf {
  return ({ input }) => `must be ${wanted}, not ${show(input)}`;
}

export const listen = v.pipe(
  v.string(mustBe("ADDRESS:PORT or off")),
  v.check((text) => text === "off" || parseAddress(text) !== undefined, mustBe("ADDRESS:PORT or off")),
);
export const wholeNumber = (low: number, high: number) => {
  const message = mustBe(`a whole number from ${low} to ${high}`);
  return v.pipe(v.number(message), v.integer(message), v.minValue(low, message), v.maxValue(high, message));
};
export const nonEmptyText = v.pipe(v.string(mustBe("text")), v.nonEmpty("must not be empty"));
export const mailbox = v.pipe(
  v.string(mustBe("an address")),
  v.check(isMailbox, mustBe("an address such as root or alarm@example.org")),
);
export const absolutePath = v.pipe(
  v.string(mustBe("an absolute path")),
  v.startsWith("/", mustBe("an absolute path")),
);
export const listOf = <const Item extends v.GenericSchema>(item: Item, what: string) =>
  v.array(item, mustBe(`a list of ${what}`));
export const choiceOf = <const T extends readonly string[]>(...values: T) =>
  v.picklist(values, (issue) => {
    const near = nearest(String(issue.input), values);
    return `${mustBe(eitherOf(values))(issue)}${near === undefined ? "" : `: did you mean ${near}?`}`;
  });

export const pattern = v.pipe(
  nonEmptyText,
  v.rawCheck(({ dataset, addIssue }) => {
    const problem = dataset.typed ? patternProblem(dataset.value) : undefined;
    if (problem !== undefined) addIssue({ message: problem });
  }),
);

/** The error in an RE2 regular expression; undefined if it is valid. */
function patternProblem(expression: string): string | undefined {
  try {
    compileRegularExpression(expression);
    return undefined;
  } catch (error) {
    // The error quotes the faulty part. The rest is not shown, because the pattern may contain a secret.
    return `must be a regular expression: ${messageOf(error)}`;
  }
}

/** A collector's URL may hold a password in front of the `@`, which must not appear in a log. */
export const collectorUrl = v.pipe(
  v.string(mustBe("a URL", typeText)),
  v.check(
    (text) => /^https?:\/\//i.test(text) && URL.canParse(text),
    mustBe("a URL such as http://127.0.0.1:4318", (found) =>
      shownValue(String(found).replace(/^.*@/s, "...@")),
    ),
  ),
);

/** Headers often hold a token, which must not appear in a log. */
export const header = v.pipe(v.string(mustBe("text", typeText)), v.nonEmpty("must not be empty"));

/** What a value is, without showing it. */
export function typeText(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a section" : `a ${typeof value}`;
}

export const section = <const Entries extends v.ObjectEntries>(entries: Entries) =>
  v.strictObject(entries, mustBe("a section of settings", typeText));

/** A duration from `least` to `most`, such as `example`; all three as they stand in the file. */
export const durationBetween = (least: string, most: string, example: string) =>
  v.pipe(
    v.string(mustBe(`a duration such as ${example}`)),
    v.check(
      (text) => {
        const seconds = parseDuration(text);
        return seconds !== undefined && seconds >= secondsOf(least) && seconds <= secondsOf(most);
      },
      mustBe(`a duration from ${least} to ${most}, such as ${example}`),
    ),
  );

function secondsOf(duration: string): number {
  const seconds = parseDuration(duration);
  if (seconds === undefined) throw new Error(`${duration} is not a duration`);
  return seconds;
}
