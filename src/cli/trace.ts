// `treewarden trace`: every exec with its tree, as it happens, no policy.
import { Command, Option } from "commander";
import { defaultConfig } from "../config/config.ts";
import { replaceProcess } from "../linux/process.ts";
import { blockSignals } from "../linux/signalfd.ts";
import { ownArguments } from "../linux/spawn.ts";
import { runTrace, traceSignals } from "../offline/trace.ts";
import { prettyLine } from "../report/pretty.ts";
import { compiledEarly, frugal } from "../supervisor/runtime-options.ts";
import {
  checkSource,
  fileOption,
  openSource,
  type SourceFlags,
  sourceOption,
  watchesThisHost,
} from "./open-source.ts";
import { mayColour } from "./output.ts";

interface TraceFlags extends SourceFlags {
  readonly output?: "json" | "pretty";
}

/** Set once the signals are blocked: they must be before the process's first instruction. */
const READY = "TREEWARDEN_SIGNALS_BLOCKED";

export function traceCommand(): Command {
  return new Command("trace")
    .description("show every exec with its tree, as it happens; no policy")
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .addOption(sourceOption())
    .addOption(fileOption())
    .action((flags: TraceFlags) => trace(flags));
}

function trace(flags: TraceFlags): void {
  checkSource(flags);
  if (process.env[READY] !== "1") {
    blockSignals(traceSignals);
    const environment = { [READY]: "1", ...frugal, ...compiledEarly, ...ownEnvironment() };
    replaceProcess(["treewarden", ...ownArguments(), ...process.argv.slice(2)], environment);
  }
  const { limit } = defaultConfig().arguments;
  const format = flags.output ?? (process.stdout.isTTY ? "pretty" : "json");
  const colour = mayColour(process.stdout);
  runTrace({
    openSensor: (reader) => openSource(flags, { reader, argumentBytes: limit }),
    format:
      format === "json" ? (record) => `${JSON.stringify(record)}\n` : (record) => prettyLine(record, colour),
    argumentBytes: limit,
    ofThisHost: watchesThisHost(flags),
  });
}

/** What a terminal needs; nothing that could change how the runtime starts. */
function ownEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["TERM", "NO_COLOR", "TZ", "COLUMNS"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
