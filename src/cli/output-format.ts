// The option --output. A command that answers prints text; a stream (`run`, `trace`) prints text on a terminal and JSON
// elsewhere, because there a program reads it.
import { fstatSync } from "node:fs";
import { Option } from "commander";

export type OutputFormat = "json" | "pretty";
/** What `run` prints. `alerts`: a line of text for each alarm. */
export type RunOutput = OutputFormat | "alerts" | "none";

/** `--output` of a command that answers. Its value is never undefined. */
export function outputOption(): Option {
  return new Option("--output <format>", "pretty: text for people; json: one flat object per line")
    .choices(["pretty", "json"])
    .default("pretty");
}

const STREAM_HELP = "default: pretty on a terminal, else json";

/** `--output` of a stream. */
export function streamOption(): Option {
  return new Option("--output <format>", STREAM_HELP).choices(["json", "pretty"]);
}

/** The format of a stream whose `--output` is `chosen`. */
export function streamFormat(chosen: OutputFormat | undefined): OutputFormat {
  return chosen ?? (process.stdout.isTTY ? "pretty" : "json");
}

/** `--output` of `run`. */
export function runOutputOption(): Option {
  const help = "default: pretty on a terminal, alerts in systemd's journal, else json";
  return new Option("--output <format>", help).choices(["json", "pretty", "alerts", "none"]);
}

/**
 * What `run` prints if `--output` is `chosen`. systemd's journal would store every record a second time, beside
 * treewarden's own, so it gets alarms only, unless more is asked for.
 */
export function runOutput(chosen: RunOutput | undefined, all: boolean): RunOutput {
  return (
    chosen ?? (!all && isSystemdJournal(process.env.JOURNAL_STREAM) ? "alerts" : streamFormat(undefined))
  );
}

/** Whether standard output is the socket that systemd named in the variable JOURNAL_STREAM (systemd.exec(5)). */
function isSystemdJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(1, { bigint: true });
  return stream === `${dev}:${ino}`;
}
