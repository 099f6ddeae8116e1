// `treewarden events`: what the journal holds, oldest first.
import { statSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { durationExamples, parseDuration } from "../config/duration.ts";
import { PipeWriter } from "../linux/pipe-writer.ts";
import { prettyLine } from "../report/pretty.ts";
import { JOURNAL_FILE, JournalReader } from "../reporter/journal-reader.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { becomeOwnerOf } from "./become-owner.ts";
import { configOption, type HostFlags, hostConfig, stateDirOption } from "./host-settings.ts";
import { CommandError, exitCodes, mayColour } from "./output.ts";

interface EventsFlags extends HostFlags {
  readonly since?: string;
  readonly follow?: boolean;
  readonly output?: "json" | "pretty";
}

const BATCH = 500;
const FOLLOW_MS = 250;

export function eventsCommand(): Command {
  return new Command("events")
    .description("show what the journal holds: verdicts, new trees, loss and changes")
    .option(
      "--since <when>",
      `only what is younger: ${durationExamples}, or a time such as 2026-01-31T12:00:00Z`,
    )
    .option("--follow", "go on with what comes (without --since: only that)")
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .addOption(configOption())
    .addOption(stateDirOption())
    .action(events);
}

async function events(flags: EventsFlags): Promise<void> {
  const since = flags.since === undefined ? undefined : startOf(flags.since, Date.now());
  const path = join(hostConfig(flags).state_directory, JOURNAL_FILE);
  becomeOwnerOf(path);
  using journal = open(path);
  const format = flags.output ?? (process.stdout.isTTY ? "pretty" : "json");
  const colour = mayColour(process.stdout);
  const output = new PipeWriter();
  let after = flags.follow === true && since === undefined ? journal.newest() : 0;
  for (;;) {
    const rows = journal.rows(since ?? 0, after, BATCH);
    for (const { id, record } of rows) {
      after = id;
      output.write(format === "json" ? `${JSON.stringify(record)}\n` : prettyLine(record, colour));
    }
    if (!output.flush()) return;
    if (rows.length === BATCH) continue;
    if (flags.follow !== true) return;
    await Bun.sleep(FOLLOW_MS);
  }
}

/** Milliseconds since the epoch that `--since` means. */
export function startOf(text: string, now: number): number {
  const seconds = parseDuration(text);
  const time = seconds === undefined ? Date.parse(text) : now - seconds * 1_000;
  if (/^\d+$/.test(text) || Number.isNaN(time)) {
    throw new CommandError(
      exitCodes.usage,
      `--since must be a duration or a time, not ${text}`,
      `try ${durationExamples}, or 2026-01-31T12:00:00Z`,
    );
  }
  return time;
}

function open(path: string): JournalReader {
  try {
    return new JournalReader(path);
  } catch (error) {
    const why = messageOf(error);
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) {
      throw new CommandError(exitCodes.notAllowed, `cannot read ${path}: ${why}`, "run it with sudo");
    }
    throw new CommandError(
      exitCodes.usage,
      `no journal at ${path}`,
      "treewarden run makes it; --state-dir names its state directory",
    );
  }
}
