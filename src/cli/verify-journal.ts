// `treewarden events verify`: whether the journal is as the warden made it.
import { Command, InvalidArgumentError, Option } from "commander";
import * as v from "valibot";
import { METRIC_SEAL_DIGITS } from "../report/journal-chain.ts";
import { PACKET_LIMIT } from "../report/wire.ts";
import { foreignSchema } from "../reporter/journal-schema.ts";
import {
  type ChainProblem,
  type ChainReport,
  JournalVerification,
  type StoredRow,
} from "../reporter/journal-verification.ts";
import { counted } from "../vocabulary/counted.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import { SEAL_DIGITS } from "../vocabulary/seal.ts";
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
/** The longest record in bytes: that of a packet from the warden. */
const BODY_LIMIT = PACKET_LIMIT;
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
  const foreign = foreignSchema(database);
  if (foreign.length > 0) {
    await printRowsOf(
      foreign.length,
      foreign.map((name) => ({ foreign: name })),
    );
    return;
  }
  const one = (where: string): number =>
    database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM records NOT INDEXED ${where}`).get()
      ?.rows ?? 0;
  const page = database.query<{ id: number }, [number]>(
    `SELECT id, run, generation, time, kept, iif(length(CAST(body AS BLOB)) <= ${BODY_LIMIT}, body, '') AS body
     FROM records NOT INDEXED WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
  );
  const rows = function* (): Generator<unknown> {
    yield { hidden: one("WHERE id < 1") };
    for (let last: number | undefined = 0; last !== undefined; ) {
      const found: readonly { readonly id: number }[] = page.all(last);
      yield* found;
      last = found.at(-1)?.id;
    }
  };
  await printRowsOf(one(""), rows());
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
  await readRowsAsOwner({ ...RECORDS, command }, (line) => takeLine(verification, line));
  print(verification.finish(), flags.output);
}

const Line = v.union([
  v.object({
    run: v.string(),
    generation: v.number(),
    time: v.number(),
    kept: v.number(),
    body: v.string(),
  }),
  v.object({ hidden: v.number() }),
  v.object({ foreign: v.string() }),
]);

/** What is none of these counts as a record that the warden did not make. */
function takeLine(verification: JournalVerification, line: string): void {
  const row = parseJson(Line, line);
  if (row === undefined) verification.take(NO_ROW);
  else if ("foreign" in row) verification.takeForeign(row.foreign);
  else if ("hidden" in row) verification.takeHidden(row.hidden);
  else verification.take(row);
}

const NO_ROW: StoredRow = { run: "", generation: 0, time: 0, kept: 0, body: "" };

function print(report: ChainReport, output: OutputFormat): void {
  const { problems, problemCount } = report;
  if (problemCount > 0) process.exitCode = exitCodes.no;
  if (output === "json") {
    for (const problem of problems) process.stdout.write(problemLine(problem));
    process.stdout.write(reportLine(report));
    return;
  }
  for (const problem of problems) console.log(problemText(problem));
  console.log(chainSummaryText(report));
  if (problemCount > 0)
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

function reportLine(report: ChainReport): string {
  const { genuine, redacted, ofReporter, rotated, unconfirmed, last, problemCount } = report;
  return jsonLine("journal.verified", {
    "journal.genuine": genuine,
    "journal.redacted": redacted,
    "journal.of_reporter": ofReporter,
    "journal.rotated": rotated,
    "journal.unconfirmed": unconfirmed,
    "journal.problems": problemCount,
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
      return `changed   ${after === "" ? number : after}: not as the warden made it`;
    case "moved":
      return `moved     ${after}: not where the warden made it`;
    case "missing":
      return `missing   ${number}${where}`;
    case "restarted":
      return `restarted the chain began again${where}: what came last before it is not known`;
    case "dropped":
      return `dropped   ${number}${where}: the warden's queue was full`;
    case "foreign":
      return `foreign   ${after}: treewarden does not make it; no record was read`;
    case "absent":
      return "absent    a seal given by --expect is not in the journal";
  }
}

/** The end of the command's text: what was found, in numbers. */
export function chainSummaryText(report: ChainReport): string {
  const { genuine, redacted, ofReporter, rotated, unconfirmed, last, problems, problemCount } = report;
  const more = problemCount - problems.length;
  const lines = [
    more > 0 ? `and ${more} more` : [],
    `${genuine} records are as the warden made them${redacted > 0 ? `, ${redacted} of them but for their redacted arguments` : ""}`,
    ofReporter > 0 ? `${ofReporter} records are the reporter's own: gaps in what it could write` : [],
    rotated > 0 ? `${rotated} or more older records are gone: by rotation, or by who controls the file` : [],
    unconfirmed > 0
      ? `${unconfirmed} ${unconfirmed === 1 ? "warden was" : "wardens were"} killed before the end of the chain was saved: what was made last may be missing`
      : [],
    last === undefined ? [] : `the newest has the seal ${last.seal}`,
    problemCount === 0 ? "no problem found" : `${counted(problemCount, "problem")} found`,
  ];
  return lines.flat().join("\n");
}

function expectArgument(text: string, before: readonly string[]): readonly string[] {
  if (!/^[0-9a-f]{12,32}$/i.test(text))
    throw new InvalidArgumentError(`must be ${METRIC_SEAL_DIGITS} to ${SEAL_DIGITS} hexadecimal digits`);
  return [...before, text.toLowerCase()];
}
