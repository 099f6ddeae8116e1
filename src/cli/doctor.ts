// `treewarden doctor`: shows what this kernel supports, what is missing, and how to fix it.

import { Command } from "commander";
import { type PrivilegeLine, privilegeLines } from "../hardening/privileges.ts";
import { realtimeNow } from "../linux/clock.ts";
import { printable } from "../linux/text.ts";
import type { EventRecord } from "../report/event-record.ts";
import { recordUids, timestamp } from "../report/stamp.ts";
import { mayExport } from "../reporter/read-otlp-settings.ts";
import type { OutputName } from "../vocabulary/event-names.ts";
import { readConfigFile } from "./configuration.ts";
import { type DoctorCheck, runChecks } from "./doctor/checks.ts";
import { checkPossiblePrevention } from "./doctor/prevention.ts";
import { runSelfTest, type SelfTestResult } from "./doctor/self-test.ts";
import { type SensorReport, sensorTable, trySensors } from "./doctor/sensors.ts";
import { CommandError, type ExitCode, exitCodes, mayColour } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { privilegeMode } from "./restricted-start.ts";
import { filesOnDisk } from "./setting-files.ts";

interface DoctorFlags {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly selfTest?: boolean;
}

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("show what this kernel supports, what is missing, and how to fix it")
    .addOption(outputOption())
    .option("--config <file>", "configuration file to check")
    .option(
      "--self-test",
      "run a treewarden of its own: start harmless programs, and check events, trees, verdicts and a kill",
    )
    .action(async (flags: DoctorFlags) => {
      if (flags.selfTest === true) return selfTest(flags);
      const sensors = trySensors();
      const { checks: ofStart, config } = runChecks(flags.config);
      const checks = config.enforcement === "prevent" ? ofStart : [...ofStart, checkPossiblePrevention()];
      const privileges = privilegeLines(privilegeMode(config, mayExport(config.otlp, process.env)));
      const print = flags.output === "json" ? json : pretty;
      process.stdout.write(print(sensors, checks, privileges));
      process.exitCode = verdict(sensors, checks);
    });
}

/** The exit code. treewarden cannot run without an event source. */
function verdict(sensors: readonly SensorReport[], checks: readonly DoctorCheck[]): ExitCode {
  const wrong = checks.find((check) => check.status === "wrong");
  if (wrong !== undefined) return wrong.code ?? exitCodes.usage;
  return sensors.some((sensor) => sensor.available === true) ? exitCodes.fine : exitCodes.notAllowed;
}

/** Prints each result as it comes. The exit code is 1 if a check failed. */
async function selfTest({ output, config: file }: DoctorFlags): Promise<void> {
  if (process.geteuid?.() !== 0)
    throw new CommandError(exitCodes.notAllowed, "only root may watch every process", "run it with sudo");
  const { config } = readConfigFile(file, "to decide", filesOnDisk, "turn off");
  const format = output === "json" ? jsonLines() : undefined;
  const results: SelfTestResult[] = [];
  await runSelfTest(config, (result) => {
    results.push(result);
    process.stdout.write(format?.("doctor.self_test", selfTestFields(result)) ?? selfTestLine(result));
  });
  const failed = results.filter(({ passed }) => !passed).length;
  if (output === "pretty")
    process.stdout.write(
      failed === 0 ? "all checks passed\n" : `${failed} of ${results.length} checks failed\n`,
    );
  if (failed > 0) process.exitCode = exitCodes.no;
}

function selfTestFields({ source, check, passed, detail }: SelfTestResult): EventRecord {
  return {
    "self_test.source": source,
    "self_test.check": check,
    "self_test.passed": passed,
    "self_test.detail": printable(detail),
  };
}

function selfTestLine({ source, check, passed, detail }: SelfTestResult): string {
  const status = passed ? coloured("ok", "ok    ") : coloured("wrong", "failed");
  return `${status}  ${source.padEnd(7)}  ${check.padEnd(7)}  ${printable(detail)}\n`;
}

/** Formats lines of JSON, each with a time and a unique id. */
function jsonLines(): (event: OutputName, fields: EventRecord) => string {
  const uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  return (event, fields) => {
    const now = realtimeNow();
    const common = { timestamp: timestamp(now), "event.name": event, "log.record.uid": uid(now) };
    return `${JSON.stringify({ ...common, ...fields })}\n`;
  };
}

function json(
  sensors: readonly SensorReport[],
  checks: readonly DoctorCheck[],
  privileges: readonly PrivilegeLine[],
): string {
  const line = jsonLines();
  return [
    ...sensors.map((sensor) => line("doctor.sensor", sensorFields(sensor))),
    ...checks.map((check) => line("doctor.check", checkFields(check))),
    ...privileges.map((privilege) => line("doctor.privilege", privilegeFields(privilege))),
  ].join("");
}

function sensorFields({ source, description, available, detail, fix }: SensorReport): EventRecord {
  return {
    "sensor.source": source,
    ...(available === undefined ? {} : { "sensor.available": available }),
    "sensor.detail": detail,
    ...(fix === undefined ? {} : { "sensor.fix": fix }),
    "sensor.forks": description.forks,
    "sensor.exits": description.exits,
    "sensor.network": description.network,
    "sensor.user_changes": description.userChanges,
    "sensor.arguments": description.arguments,
    "sensor.scope": description.scope,
    "sensor.when": description.when,
    "sensor.capabilities": description.capabilities,
    "sensor.never_known": description.neverKnown,
  };
}

function checkFields({ name, status, detail, fix }: DoctorCheck): EventRecord {
  return {
    "check.name": name,
    "check.status": status,
    "check.detail": printable(detail),
    ...(fix === undefined ? {} : { "check.fix": printable(fix) }),
  };
}

function privilegeFields({ process, privilege, when, reason, inForce }: PrivilegeLine): EventRecord {
  return {
    "privilege.process": process,
    "privilege.name": privilege,
    "privilege.when": when,
    "privilege.reason": reason,
    "privilege.in_force": inForce,
  };
}

const colours = { ok: 32, missing: 33, wrong: 31 } as const;

function coloured(as: keyof typeof colours, text: string): string {
  return mayColour(process.stdout) ? `\x1b[${colours[as]}m${text}\x1b[0m` : text;
}

function pretty(
  sensors: readonly SensorReport[],
  checks: readonly DoctorCheck[],
  privileges: readonly PrivilegeLine[],
): string {
  return `${sensorTable(sensors)}${refusals(sensors)}\n${checkList(checks)}\n${privilegeTable(privileges)}`;
}

/** What each process may do with this configuration. */
function privilegeTable(privileges: readonly PrivilegeLine[]): string {
  const inForce = privileges.filter((line) => line.inForce);
  const widths = [
    Math.max(...inForce.map(({ process }) => process.length)),
    Math.max(...inForce.map(({ privilege }) => privilege.length)),
  ] as const;
  const row = (process: string, privilege: string, reason: string): string =>
    `${process.padEnd(widths[0])}  ${privilege.padEnd(widths[1])}  ${reason}`.trimEnd();
  const rows = inForce.map(({ process, privilege, reason }) => row(process, privilege, reason));
  return `${[row("process", "may", "to"), ...rows].join("\n")}\n`;
}

function refusals(sensors: readonly SensorReport[]): string {
  return sensors
    .filter((sensor) => sensor.available === false)
    .map(({ source, detail, fix }) => `${source}: ${detail}\n${fix === undefined ? "" : `  do: ${fix}\n`}`)
    .join("");
}

function checkList(checks: readonly DoctorCheck[]): string {
  const width = Math.max(...checks.map((check) => check.name.length));
  return checks
    .map((check) => {
      const status = coloured(check.status, check.status.padEnd(7));
      const line = `${status}  ${check.name.padEnd(width)}  ${printable(check.detail)}\n`;
      return check.fix === undefined ? line : `${line}${" ".repeat(width + 11)}do: ${printable(check.fix)}\n`;
    })
    .join("");
}
