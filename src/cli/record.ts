// `treewarden record --out F`: a capture of the event stream.
import { Command } from "commander";
import { SECOND_NS } from "../config/duration.ts";
import { endingSignals } from "../offline/follow-events.ts";
import { type Recorded, runRecording } from "../offline/recording.ts";
import { CaptureFile } from "../sensor/capture/file.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { restartWithSignalsBlocked } from "./blocked-signals.ts";
import { durationArgument } from "./duration-options.ts";
import { writeError } from "./file-errors.ts";
import { configOption, type HostFlags, hostConfig } from "./host-settings.ts";
import {
  chooseSource,
  fileOption,
  openSource,
  type SourceFlags,
  sourceOption,
  watchesThisHost,
} from "./open-source.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

interface RecordFlags extends HostFlags, SourceFlags {
  readonly out: string;
  /** Seconds. */
  readonly for?: number;
}

export function recordCommand(): Command {
  return new Command("record")
    .description("make a capture of the event stream, for treewarden replay; it holds arguments: mode 0600")
    .requiredOption("--out <file>", "the capture; never overwritten")
    .option(
      "--for <duration>",
      "end after this long, such as 60s, 5m or 8h (default: at Ctrl-C)",
      durationArgument,
    )
    .addOption(sourceOption())
    .addOption(fileOption())
    .addOption(configOption())
    .action((flags: RecordFlags) => record(flags));
}

function record(flags: RecordFlags): void {
  const config = hostConfig(flags);
  const source = chooseSource(flags, config);
  restartWithSignalsBlocked(endingSignals);
  const { limit } = config.arguments;
  using reader = new FactsReader({ argumentBytes: limit });
  const { sensor, why } = openSource(source, { reader, argumentBytes: limit });
  using opened = sensor;
  using file = create(flags.out);
  warn(`recording from ${opened.source} (${why}) into ${flags.out}`);
  const shown = process.stderr.isTTY === true;
  const done = explained(flags.out, () =>
    runRecording({
      sensor: opened,
      reader: watchesThisHost(source) ? reader : null,
      file,
      forNs: flags.for === undefined ? undefined : flags.for * SECOND_NS,
      progress: (soFar) => {
        if (shown) process.stderr.write(`\r\u001b[K${told(soFar)}`);
      },
    }),
  );
  if (shown) process.stderr.write("\r\u001b[K");
  warn(`${flags.out}: complete: ${told(done)}`);
}

/** A full disk is no fault of treewarden's: told as what it is. */
function explained<T>(out: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && "syscall" in error && ["write", "fsync"].includes(String(error.syscall))) {
      throw new CommandError(
        exitCodes.fault,
        `cannot write ${out}: ${error.message}`,
        "replay reads what is whole of it",
      );
    }
    throw error;
  }
}

function create(path: string): CaptureFile {
  try {
    return new CaptureFile(path);
  } catch (error) {
    throw new CommandError(exitCodes.usage, writeError("capture", path, error));
  }
}

function told({ events, bytes, losses, seconds }: Recorded): string {
  const size = bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  const lost = losses === 0 ? "" : `, ${losses} losses`;
  return `${events} events in ${seconds.toFixed(0)} s, ${size}${lost}`;
}
