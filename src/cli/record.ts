// `treewarden record --out F`: a capture of the event stream.
import { Command, InvalidArgumentError, Option } from "commander";
import { configFile, sources } from "../config/config.ts";
import { embeddedBase } from "../fingerprint/base.ts";
import { replaceProcess } from "../linux/process.ts";
import { blockSignals } from "../linux/signalfd.ts";
import { ownArguments } from "../linux/spawn.ts";
import { type Recorded, recordingSignals, runRecording } from "../offline/recording.ts";
import { CaptureFile } from "../sensor/capture/capture-file.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { compiledEarly, frugal } from "../supervisor/runtime-options.ts";
import { readBase } from "../warden/base-file.ts";
import { captureRedaction } from "../warden/capture-header.ts";
import { readConfig } from "./configuration.ts";
import { writeError } from "./file-errors.ts";
import { checkLook, type LookFlags, openLook } from "./open-source.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

interface RecordFlags extends LookFlags {
  readonly out: string;
  /** Nanoseconds. */
  readonly for?: number;
  readonly redact?: boolean;
  readonly config?: string;
  readonly stateDir?: string;
}

/** Set once the signals are blocked: they must be before the process's first instruction. */
const READY = "TREEWARDEN_SIGNALS_BLOCKED";
const SECONDS = { ms: 1e-3, s: 1, m: 60, h: 3600, d: 86_400 } as const;

export function recordCommand(): Command {
  return new Command("record")
    .description("make a capture of the event stream, for treewarden replay; it holds arguments: mode 0600")
    .requiredOption("--out <file>", "the capture; never overwritten")
    .option("--for <time>", "end after this long, such as 60s, 5m or 8h (default: at Ctrl-C)", duration)
    .addOption(
      new Option("--source <source>", "where events come from").choices([...sources, "acct"]).default("auto"),
    )
    .option("--file <file>", "process accounting file, for --source acct")
    .option("--redact", "replace secrets in arguments, the host's name and people's names")
    .option("--config <file>", `configuration file (default: ${configFile} if it is there)`)
    .option("--state-dir <directory>", "of the warden (default: the configuration's)")
    .action((flags: RecordFlags) => record(flags));
}

/** `60s`, `90` (seconds), `5m`, `8h`, `7d`, `500ms` in nanoseconds. Throws what commander shows. */
function duration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("expected a time with its unit, such as 60s, 5m or 8h");
  const unit = match[2];
  const scale = unit === "ms" || unit === "m" || unit === "h" || unit === "d" ? SECONDS[unit] : SECONDS.s;
  return Number(match[1]) * scale * 1e9;
}

function record(flags: RecordFlags): void {
  checkLook(flags);
  if (process.env[READY] !== "1") {
    blockSignals(recordingSignals);
    const environment = { [READY]: "1", ...frugal, ...compiledEarly };
    replaceProcess(["treewarden", ...ownArguments(), ...process.argv.slice(2)], environment);
  }
  const config = readConfig(flags.config);
  const stateDirectory = flags.stateDir ?? config.state_directory;
  const { limit } = config.arguments;
  using reader = new FactsReader({ argumentBytes: limit });
  const { sensor, why } = openLook(flags, { reader, argumentBytes: limit });
  using opened = sensor;
  using file = create(flags.out);
  warn(`recording from ${opened.source} (${why}) into ${flags.out}`);
  const shown = process.stderr.isTTY === true;
  const done = explained(flags.out, () =>
    runRecording({
      sensor: opened,
      reader: flags.source === "acct" ? null : reader,
      file,
      base: readBase(stateDirectory) ?? embeddedBase,
      argumentsLimit: limit,
      redaction: flags.redact === true ? captureRedaction : undefined,
      forNs: flags.for,
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
