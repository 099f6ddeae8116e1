// `treewarden doctor`: what this kernel allows, what is missing, what to do about it.
import { Command, Option } from "commander";
import { realtimeNow } from "../linux/clock.ts";
import type { EventRecord } from "../report/event-record.ts";
import { recordUids, timestamp } from "../report/stamp.ts";
import { type DoctorCheck, runChecks } from "./doctor/checks.ts";
import { type ExitCode, exitCodes, mayColour } from "./output.ts";

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("say what this kernel allows, what is missing, and what to do about it")
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .option("--config <file>", "configuration file to look at")
    .action((flags: { readonly output?: "json" | "pretty"; readonly config?: string }) => {
      const format = flags.output ?? (process.stdout.isTTY ? "pretty" : "json");
      const checks = runChecks(flags.config);
      process.stdout.write(format === "json" ? json(checks) : pretty(checks));
      process.exitCode = verdict(checks);
    });
}

/** Without any source of events there is nothing to run on. */
function verdict(checks: readonly DoctorCheck[]): ExitCode {
  if (checks.some((check) => check.status === "wrong")) return exitCodes.usage;
  const sources = checks.filter((check) => check.source);
  return sources.every((check) => check.status !== "ok") ? exitCodes.notAllowed : exitCodes.fine;
}

function json(checks: readonly DoctorCheck[]): string {
  const uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  return checks
    .map((check) => {
      const now = realtimeNow();
      const fix = check.fix === undefined ? {} : { "check.fix": check.fix };
      const record: EventRecord = {
        timestamp: timestamp(now),
        "event.name": "doctor.check",
        "log.record.uid": uid(now),
        "check.name": check.name,
        "check.status": check.status,
        "check.detail": check.detail,
        ...fix,
      };
      return `${JSON.stringify(record)}\n`;
    })
    .join("");
}

const colours = { ok: 32, missing: 33, wrong: 31 } as const;

function pretty(checks: readonly DoctorCheck[]): string {
  const colour = mayColour(process.stdout);
  const width = Math.max(...checks.map((check) => check.name.length));
  return checks
    .map((check) => {
      const word = check.status.padEnd(7);
      const status = colour ? `\x1b[${colours[check.status]}m${word}\x1b[0m` : word;
      const line = `${status}  ${check.name.padEnd(width)}  ${check.detail}\n`;
      return check.fix === undefined ? line : `${line}${" ".repeat(width + 11)}do: ${check.fix}\n`;
    })
    .join("");
}
