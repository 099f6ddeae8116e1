// The option of commands that read the newest records only.
import { InvalidArgumentError, Option } from "commander";

/** `--limit`, a number from 1. */
export function limitOption(): Option {
  return new Option("--limit <number>", "only the newest of them, at most this many").argParser((text) => {
    if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError("must be a whole number from 1");
    return Number(text);
  });
}
