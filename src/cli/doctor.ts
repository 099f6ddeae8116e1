// `treewarden doctor`: shows what this kernel supports, what is missing, and how to fix it.

import { Command } from "commander";
import { type PrivilegeLine, privilegeLines } from "../hardening/privileges.ts";
import { realtimeNow } from "../linux/clock.ts";
import { printable } from "../linux/text.ts";
import type { EventRecord } from "../report/event-record.ts";
import { recordUids, timestamp } from "../report/stamp.ts";
import { mayExport } from "../reporter/read-otlp-settings.ts";
import type { OutputName } from "../vocabulary/event-names.ts";
import { type DoctorCheck, runChecks } from "./doctor/checks.ts";
import { type SensorReport, sensorTable, trySensors } from "./doctor/sensors.ts";
import { type ExitCode, exitCodes, mayColour } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { privilegeMode } from "./restricted-start.ts";

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("show what this kernel supports, what is missing, and how to fix it")
    .addOption(outputOption())
    .option("--config <file>", "configuration file to check")
    .action((flags: { readonly output: OutputFormat; readonly config?: string }) => {
      const sensors = trySensors();
      const { checks, config } = runChecks(flags.config);
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

function json(
  sensors: readonly SensorReport[],
  checks: readonly DoctorCheck[],
  privileges: readonly PrivilegeLine[],
): string {
  const uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  const line = (event: OutputName, fields: EventRecord): string => {
    const now = realtimeNow();
    const common = { timestamp: timestamp(now), "event.name": event, "log.record.uid": uid(now) };
    return `${JSON.stringify({ ...common, ...fields })}\n`;
  };
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
  const colour = mayColour(process.stdout);
  const width = Math.max(...checks.map((check) => check.name.length));
  return checks
    .map((check) => {
      const word = check.status.padEnd(7);
      const status = colour ? `\x1b[${colours[check.status]}m${word}\x1b[0m` : word;
      const line = `${status}  ${check.name.padEnd(width)}  ${printable(check.detail)}\n`;
      return check.fix === undefined ? line : `${line}${" ".repeat(width + 11)}do: ${printable(check.fix)}\n`;
    })
    .join("");
}
