// Options whose value is a duration.
import { InvalidArgumentError } from "commander";
import { durationExamples, parseDuration } from "../vocabulary/duration.ts";
import { CommandError, exitCodes } from "./output.ts";

/** Parses an option's value into seconds, for commander: it adds the option's name to the error. */
export function durationArgument(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new InvalidArgumentError(`must be a duration such as ${durationExamples}`);
  return seconds;
}

/** Parses the value `text` of `option` into whole seconds, at least one. Throws a CommandError. */
export function wholeSeconds(text: string, option: string): number {
  const seconds = parseDuration(text);
  if (seconds !== undefined && seconds >= 1) return Math.floor(seconds);
  throw new CommandError(
    exitCodes.usage,
    `${option} must be a duration of at least a second, not ${text}`,
    `try ${durationExamples}`,
  );
}
