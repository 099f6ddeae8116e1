// `treewarden trace`: every exec with its tree, as it happens, no policy.
import { Command, Option } from "commander";
import { defaultConfig, type SourceChoice, sources } from "../config/config.ts";
import { replaceProcess } from "../linux/process.ts";
import { blockSignals } from "../linux/signalfd.ts";
import { ownArguments } from "../linux/spawn.ts";
import { runTrace, traceSignals } from "../warden/trace.ts";
import { openSource } from "./source.ts";
import { CommandError, exit } from "./voice.ts";

interface TraceFlags {
  readonly output?: "json" | "pretty";
  readonly source: SourceChoice;
}

/** Set once the signals are blocked: they must be before the process's first instruction. */
const READY = "TREEWARDEN_SIGNALS_BLOCKED";

export function traceCommand(): Command {
  return new Command("trace")
    .description("show every exec with its tree, as it happens; no policy")
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .addOption(new Option("--source <source>", "where events come from").choices(sources).default("auto"))
    .action((flags: TraceFlags) => trace(flags));
}

function trace(flags: TraceFlags): void {
  if (process.geteuid?.() !== 0) {
    throw new CommandError(exit.notAllowed, "only root may watch every process", "run it with sudo");
  }
  if (process.env[READY] !== "1") {
    blockSignals(traceSignals);
    const environment = { [READY]: "1", BUN_JSC_largeHeapSize: "1048576", ...ownEnvironment() };
    replaceProcess(["treewarden", ...ownArguments(), ...process.argv.slice(2)], environment);
  }
  const { limit } = defaultConfig().arguments;
  runTrace({
    openSensor: (reader) => openSource(flags.source, { reader, argumentBytes: limit }),
    format: (record) => `${JSON.stringify(record)}\n`,
    argumentBytes: limit,
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
