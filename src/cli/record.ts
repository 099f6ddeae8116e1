// `treewarden record --out F`: a capture of the event stream.
import { statSync } from "node:fs";
import { Command } from "commander";
import type { Config } from "../config/config.ts";
import { endingSignals } from "../offline/follow-events.ts";
import { CaptureInbox, receiveCapture } from "../offline/receive-capture.ts";
import { type Recorded, runRecording } from "../offline/recording.ts";
import { createArgumentRedaction } from "../report/redact.ts";
import { CaptureFile, CaptureInput } from "../sensor/capture/capture-file.ts";
import { verifyCapture } from "../sensor/capture/capture-reader.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { SECOND_NS } from "../vocabulary/duration.ts";
import { captureRedaction } from "../warden/capture-header.ts";
import { restartWithSignalsBlocked } from "./blocked-signals.ts";
import { warnOfEnd } from "./capture-errors.ts";
import { durationArgument } from "./duration-options.ts";
import { writeError } from "./file-errors.ts";
import { configOption, type HostFlags, hostBase, hostConfig, stateDirOption } from "./host-settings.ts";
import {
  type ChosenSource,
  chooseSource,
  openSource,
  type SourceFlags,
  watchesThisHost,
} from "./open-source.ts";
import { CommandError, exitCodes, warn } from "./output.ts";
import { isWardenRunning, requestWarden, requestWardenOrFail } from "./request-warden.ts";
import { fileOption, sourceOption } from "./source-options.ts";

interface RecordFlags extends HostFlags, SourceFlags {
  readonly out: string;
  /** Seconds. */
  readonly for?: number;
  readonly redact?: boolean;
}

export function recordCommand(): Command {
  return new Command("record")
    .description(
      "write the event stream to a capture file for treewarden replay; it contains arguments, so its mode is 0600",
    )
    .requiredOption("--out <file>", "the capture; never overwritten")
    .option(
      "--for <duration>",
      "end after this long, such as 60s, 5m or 8h (default: at Ctrl-C)",
      durationArgument,
    )
    .addOption(sourceOption())
    .addOption(fileOption())
    .option("--redact", "replace secrets in arguments, the host's name and people's names")
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: RecordFlags) => record(flags));
}

function record(flags: RecordFlags): void {
  const config = hostConfig(flags);
  const source = chooseSource(flags, config);
  restartWithSignalsBlocked(endingSignals);
  if (flags.source === undefined && isWardenRunning(config.state_directory)) recordByWarden(flags, config);
  else recordAlone(flags, source, config);
}

/** The warden makes the capture, with everything that its verdicts depend on. */
function recordByWarden(flags: RecordFlags, { state_directory: stateDirectory }: Config): void {
  using file = create(flags.out);
  using inbox = new CaptureInbox(stateDirectory);
  const pipe = inbox.name;
  requestWardenOrFail(stateDirectory, { kind: "record", pipe, redact: flags.redact === true });
  warn(`the warden on ${stateDirectory} records into ${flags.out}`);
  const start = performance.now();
  const shown = process.stderr.isTTY === true;
  const received = explained(flags.out, () =>
    receiveCapture({
      inbox,
      file,
      forNs: flags.for === undefined ? undefined : flags.for * SECOND_NS,
      stop: () => void requestWarden(stateDirectory, { kind: "stop-recording", pipe }),
      progress: (bytes) => {
        if (shown) process.stderr.write(`\r\u001b[K${sizeText(bytes)}`);
      },
    }),
  );
  file.sync();
  if (shown) process.stderr.write("\r\u001b[K");
  using input = new CaptureInput(flags.out);
  const end = verifyCapture(input.read);
  if (end.kind !== "ended") {
    if (statSync(flags.out).size === 0) {
      const hint = "treewarden events shows whether it refused";
      throw new CommandError(exitCodes.fault, "the warden made no capture", hint);
    }
    const why = received === "ended" ? "the warden ended in the middle of it" : "the warden does not answer";
    throw new CommandError(exitCodes.fault, `${flags.out}: ${why}`, "replay reads what is whole of it");
  }
  warnOfEnd(flags.out, end, "replay reads what it has");
  const done = { events: end.events, bytes: statSync(flags.out).size, losses: 0 };
  const completeness = end.reason === "complete" ? "complete: " : "";
  warn(`${flags.out}: ${completeness}${summaryOf({ ...done, seconds: (performance.now() - start) / 1e3 })}`);
}

function recordAlone(flags: RecordFlags, source: ChosenSource, config: Config): void {
  const { limit, redact } = config.arguments;
  const redaction = createArgumentRedaction("redacted", redact);
  // Before the sensor: it takes a while, and events are gathered from its opening on.
  const base = hostBase(config);
  using reader = new FactsReader({ argumentBytes: limit });
  const { sensor, why } = openSource(source, { reader, argumentBytes: limit });
  using opened = sensor;
  using file = create(flags.out);
  warn(`recording from ${opened.source} (${why}) into ${flags.out}`);
  if (flags.source === undefined)
    warn(`no warden runs on ${config.state_directory}: a replay is repeatable, but is no warden's verdicts`);
  const shown = process.stderr.isTTY === true;
  const done = explained(flags.out, () =>
    runRecording({
      sensor: opened,
      reader: watchesThisHost(source) ? reader : null,
      file,
      base,
      argumentsLimit: limit,
      redaction: flags.redact === true ? captureRedaction(redaction) : undefined,
      forNs: flags.for === undefined ? undefined : flags.for * SECOND_NS,
      progress: (soFar) => {
        if (shown) process.stderr.write(`\r\u001b[K${summaryOf(soFar)}`);
      },
    }),
  );
  if (shown) process.stderr.write("\r\u001b[K");
  warn(`${flags.out}: complete: ${summaryOf(done)}`);
}

/** A full disk is no fault of treewarden's, so it is reported as an error of the file. */
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

function summaryOf({ events, bytes, losses, seconds }: Recorded): string {
  const lost = losses === 0 ? "" : `, ${losses} losses`;
  return `${events} events in ${seconds.toFixed(0)} s, ${sizeText(bytes)}${lost}`;
}

function sizeText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
