// `treewarden events`: what the journal holds, oldest first.
import { statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { defaultStateDirectory } from "../config/config.ts";
import { codeOf, messageOf } from "../config/errors.ts";
import { prettyLine } from "../report/pretty.ts";
import { JOURNAL_FILE, JournalReader } from "../reporter/journal-reader.ts";
import { becomeOwnerOf } from "./become-owner.ts";
import { CommandError, exitCodes, mayColour } from "./output.ts";

interface EventsFlags {
  readonly since?: string;
  readonly follow?: boolean;
  readonly output?: "json" | "pretty";
  readonly stateDir: string;
}

const BATCH = 500;
const FOLLOW_MS = 250;

export function eventsCommand(): Command {
  return new Command("events")
    .description("show what the journal holds: verdicts, new trees, loss and changes")
    .option(
      "--since <when>",
      "only what is younger: 90s, 30m, 1h, 7d, 2w, or a time such as 2026-01-31T12:00:00Z",
    )
    .option("--follow", "go on with what comes (without --since: only that)")
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .option("--state-dir <directory>", "where the journal is kept", defaultStateDirectory)
    .action(events);
}

async function events(flags: EventsFlags): Promise<void> {
  const since = flags.since === undefined ? undefined : startOf(flags.since, Date.now());
  const path = join(flags.stateDir, JOURNAL_FILE);
  becomeOwnerOf(path);
  using journal = open(path);
  const format = flags.output ?? (process.stdout.isTTY ? "pretty" : "json");
  const colour = mayColour(process.stdout);
  let after = flags.follow === true && since === undefined ? journal.newest() : 0;
  for (;;) {
    const rows = journal.rows(since ?? 0, after, BATCH);
    for (const { id, record } of rows) {
      after = id;
      if (!(await print(format === "json" ? `${JSON.stringify(record)}\n` : prettyLine(record, colour))))
        return;
    }
    if (rows.length === BATCH) continue;
    if (flags.follow !== true) return;
    await Bun.sleep(FOLLOW_MS);
  }
}

const units: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds since the epoch that `--since` means. */
export function startOf(text: string, now: number): number {
  const match = /^(\d{1,9})([smhdw])$/.exec(text);
  const time = match === null ? Date.parse(text) : now - Number(match[1]) * (units[match[2] ?? ""] ?? 0);
  if (/^\d+$/.test(text) || Number.isNaN(time)) {
    throw new CommandError(
      exitCodes.usage,
      `--since ${text}: not a time`,
      "try 90s, 30m, 1h, 7d, or 2026-01-31T12:00:00Z",
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
      "treewarden run makes it; --state-dir says where it looks",
    );
  }
}

/** False once nobody reads any more. */
async function print(line: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(line);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      const code = codeOf(error);
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw error;
      await Bun.sleep(10);
    }
  }
  return true;
}
