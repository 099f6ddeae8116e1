// The option --output. A command that answers prints text; a stream (`run`, `trace`) prints text on a terminal and JSON
// elsewhere, because there a program reads it.
import { Option } from "commander";

export type OutputFormat = "json" | "pretty";

/** `--output` of a command that answers. Its value is never undefined. */
export function outputOption(): Option {
  return new Option("--output <format>", "pretty: text for people; json: one flat object per line")
    .choices(["pretty", "json"])
    .default("pretty");
}

const STREAM_HELP = "default: pretty on a terminal, else json";

/** `--output` of a stream, with further formats. */
export function streamOption(...further: readonly string[]): Option {
  return new Option("--output <format>", STREAM_HELP).choices(["json", "pretty", ...further]);
}

/** The format of a stream whose `--output` is `chosen`. */
export function streamFormat<Further extends string>(
  chosen: OutputFormat | Further | undefined,
): OutputFormat | Further {
  return chosen ?? (process.stdout.isTTY ? "pretty" : "json");
}
