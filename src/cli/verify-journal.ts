// `treewarden events verify`: whether the journal is as the warden made it.
import { Command, InvalidArgumentError, Option } from "commander";
import * as v from "valibot";
import { isEventRecord } from "../report/event-record.ts";
import { METRIC_SEAL_DIGITS } from "../report/journal-chain.ts";
import {
  type ChainProblem,
  type ChainReport,
  JournalVerification,
  type StoredRow,
} from "../reporter/journal-verification.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import { CHAIN_KEY, readChainHead } from "../warden/chain-store.ts";
import { readSecretKey } from "../warden/secret-key.ts";
import { jsonLine } from "./baseline/entry-output.ts";
import { type HostFlags, hostConfigOrLastGood, withHostOptions } from "./host-settings.ts";
import { hasTable, openAsOwner, printRowsOf, readRowsAsOwner } from "./journal-rows.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";

/** Name of the command that the reading process runs; not shown. */
const ROWS_COMMAND = "rows";
/** Rows read, and what they may be together: several times the largest journal. */
const RECORDS = { what: "records", rowsLimit: 20_000_000, bytesLimit: 16 * 2 ** 30, readingMs: 3_600_000 };
/** Rows of one statement, so that no transaction stays open while they are read: the write-ahead log would grow. */
const PAGE_ROWS = 2_000;
/** How long a record that was made may be on its way to the journal. */
const ON_THE_WAY_MS = 1_000;

interface VerifyFlags extends HostFlags {
  readonly expect: readonly string[];
  readonly output: OutputFormat;
}

export function verifyCommand(): Command {
  const command = new Command("verify").description(
    "check the journal against the warden's seals: what was changed, forged, moved or removed",
  );
  return withHostOptions(command)
    .addOption(
      new Option(
        "--expect <seal>",
        "the beginning of a seal that the journal must contain, as a collector got it (repeatable)",
      )
        .argParser(expectArgument)
        .default([], "none"),
    )
    .addOption(outputOption())
    .action(verify);
}

/** Prints the rows for the process that verifies them; not shown. */
export function rowsCommand(): Command {
  return new Command(ROWS_COMMAND)
    .requiredOption("--state-dir <directory>")
    .action((flags: { stateDir: string }) => printRecords(flags.stateDir));
}

async function printRecords(stateDirectory: string): Promise<void> {
  using database = openAsOwner(stateDirectory);
  if (database === undefined || !hasTable(database, "records")) return;
  const count = database.query<{ rows: number }, []>("SELECT count(*) AS rows FROM records").get();
  const page = database.query<{ id: number }, [number]>(
    `SELECT id, run, generation, body FROM records WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
  );
  const rows = function* (): Generator<unknown> {
    for (let last: number | undefined = Number.MIN_SAFE_INTEGER; last !== undefined; ) {
      const found: readonly { readonly id: number }[] = page.all(last);
      yield* found;
      last = found.at(-1)?.id;
    }
  };
  await printRowsOf(count?.rows ?? 0, rows());
}

async function verify(flags: VerifyFlags): Promise<void> {
  const stateDirectory = hostConfigOrLastGood(flags).config.state_directory;
  const key = readSecretKey(stateDirectory, CHAIN_KEY);
  if (!(key instanceof Uint8Array)) {
    if (key.kind === "unreadable")
      throw new CommandError(exitCodes.notAllowed, `the key of the journal ${key.reason}`, key.fix);
    throw new CommandError(
      exitCodes.usage,
      `there is no key of a journal in ${stateDirectory}: it ${key.reason}`,
      "treewarden run makes it; --state-dir names its state directory",
    );
  }
  const head = readChainHead(stateDirectory);
  if (head === undefined) warn("the end of the chain was not saved: records missing at the end go unnoticed");
  // What the warden had made when it saved the end must have arrived.
  await Bun.sleep(ON_THE_WAY_MS);
  const verification = new JournalVerification(key, head, flags.expect);
  const command = ["events", ROWS_COMMAND, "--state-dir", stateDirectory];
  await readRowsAsOwner({ ...RECORDS, command }, (line) => verification.take(rowOf(line)));
  print(verification.finish(), flags.output);
}

const Row = v.object({ id: v.number(), run: v.string(), generation: v.number(), body: v.string() });

/** What is no row counts as a record that the warden did not make. */
function rowOf(line: string): StoredRow {
  const row = parseJson(Row, line);
  if (row === undefined) return { id: 0, run: "", generation: 0, record: {} };
  const record: unknown = parseJson(v.unknown(), row.body);
  return { ...row, record: isEventRecord(record) ? record : {} };
}

function print(report: ChainReport, output: OutputFormat): void {
  const { problems } = report;
  if (problems.length > 0) process.exitCode = exitCodes.no;
  if (output === "json") {
    for (const problem of problems) process.stdout.write(problemLine(problem));
    process.stdout.write(reportLine(report));
    return;
  }
  for (const problem of problems) console.log(problemText(problem));
  console.log(summaryText(report));
  if (problems.length > 0)
    hint(
      "somebody with the rights of the reporter's user has written the journal, or journal-chain/ was replaced by root",
    );
}

function problemLine({ kind, count, isAtLeast, after, before }: ChainProblem): string {
  return jsonLine("journal.problem", {
    "journal.problem": kind,
    "journal.count": count,
    "journal.at_least": isAtLeast === true,
    ...(after === undefined ? {} : { "journal.after": after }),
    ...(before === undefined ? {} : { "journal.before": before }),
  });
}

function reportLine({
  genuine,
  redacted,
  ofReporter,
  dropped,
  rotated,
  last,
  problems,
}: ChainReport): string {
  return jsonLine("journal.verified", {
    "journal.genuine": genuine,
    "journal.redacted": redacted,
    "journal.of_reporter": ofReporter,
    "journal.dropped": dropped,
    "journal.rotated": rotated,
    "journal.problems": problems.length,
    ...(last === undefined ? {} : { "journal.seal": last.seal }),
  });
}

function problemText({ kind, count, isAtLeast, after, before }: ChainProblem): string {
  const number = `${isAtLeast === true ? "at least " : ""}${count} ${count === 1 ? "record" : "records"}`;
  const place = [
    after === undefined || after === "" ? [] : `after ${after}`,
    before === undefined ? [] : `before ${before}`,
  ].flat();
  const where = place.length === 0 ? "" : ` ${place.join(" and ")}`;
  switch (kind) {
    case "changed":
      return `changed   ${after === "" ? "a record without uid" : after} is not as the warden made it`;
    case "moved":
      return `moved     ${after} is not where the warden made it`;
    case "missing":
      return `missing   ${number}${where}`;
    case "restarted":
      return `restarted the chain began again${where}: what came last before it is not known`;
    case "absent":
      return "absent    a seal given by --expect is not in the journal";
  }
}

function summaryText({
  genuine,
  redacted,
  ofReporter,
  dropped,
  rotated,
  last,
  problems,
}: ChainReport): string {
  const lines = [
    `${genuine} records are as the warden made them${redacted > 0 ? `, ${redacted} of them but for their redacted arguments` : ""}`,
    ofReporter > 0 ? `${ofReporter} records are the reporter's own: gaps in what it could write` : [],
    dropped > 0 ? `${dropped} records were dropped by the warden itself, whose queue was full` : [],
    rotated > 0 ? `${rotated} or more older records are gone: by rotation, or by who controls the file` : [],
    last === undefined ? [] : `the newest has the seal ${last.seal}`,
    problems.length === 0 ? "no problem found" : `${problems.length} problems found`,
  ];
  return lines.flat().join("\n");
}

function expectArgument(text: string, before: readonly string[]): readonly string[] {
  if (!/^[0-9a-f]{12,32}$/i.test(text))
    throw new InvalidArgumentError(`must be ${METRIC_SEAL_DIGITS} to 32 hexadecimal digits`);
  return [...before, text.toLowerCase()];
}
