// `treewarden trace`: shows every exec with its tree as it happens, without a policy.
import { Command } from "commander";
import { endingSignals } from "../offline/follow-events.ts";
import { runTrace } from "../offline/trace.ts";
import { prettyLine } from "../report/pretty.ts";
import { networkWatch } from "../sensor/network/watch.ts";
import { networkKinds } from "../vocabulary/event-kinds.ts";
import { restartWithSignalsBlocked } from "./blocked-signals.ts";
import { configOption, type HostFlags, hostBase, hostConfig, stateDirOption } from "./host-settings.ts";
import { chooseSource, openSource, type SourceFlags, watchesThisHost } from "./open-source.ts";
import { hint, mayColour } from "./output.ts";
import { type OutputFormat, streamFormat, streamOption } from "./output-format.ts";
import { fileOption, sourceOption } from "./source-options.ts";

interface TraceFlags extends HostFlags, SourceFlags {
  readonly output?: OutputFormat;
  readonly all?: boolean;
  readonly network?: boolean;
}

export function traceCommand(): Command {
  return new Command("trace")
    .description("show every exec with its tree, as it happens; no policy")
    .addOption(streamOption())
    .option("--all", "on a terminal too, print every exec and not only the first of each tree")
    .option(
      "--network",
      "also connections, UDP sessions and listening sockets, as the configuration's `network` filters them",
    )
    .addOption(sourceOption())
    .addOption(fileOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: TraceFlags) => trace(flags));
}

function trace(flags: TraceFlags): void {
  const config = hostConfig(flags);
  const source = chooseSource(flags, config);
  restartWithSignalsBlocked(endingSignals);
  const { limit } = config.arguments;
  const format = streamFormat(flags.output);
  const colour = mayColour(process.stdout);
  const newTreesOnly = format === "pretty" && process.stdout.isTTY && flags.all !== true;
  if (newTreesOnly) hint("the first exec of each tree is shown; --all shows every one");
  const network = flags.network === true ? networkWatch(networkKinds, config.network) : undefined;
  runTrace({
    openSensor: (reader) => openSource(source, { reader, argumentBytes: limit }, network),
    format: format === "json" ? undefined : (record) => prettyLine(record, colour),
    newTreesOnly,
    argumentBytes: limit,
    base: hostBase(config),
    stateDirectory: config.state_directory,
    ofThisHost: watchesThisHost(source),
  });
}
