// Finds the record that a uid, or the beginning of one, denotes.
import type { EventRecord } from "../../report/event-record.ts";
import { prettyLine } from "../../report/pretty.ts";
import { uidTimes } from "../../report/stamp.ts";
import type { JournalReader } from "../../reporter/journal-reader.ts";
import { shownValue } from "../../vocabulary/error-text.ts";
import { CommandError, exitCodes } from "../output.ts";

/** As in git, a shorter beginning is more likely a slip than an abbreviation. */
const SHORTEST = 4;
/** Records that an error about an ambiguous beginning shows. */
const SHOWN = 10;

/**
 * The record whose uid begins with `prefix`. Of several the only verdict counts, because one exec may be a new tree, too.
 * Throws a CommandError if there is none, or more than one.
 */
export function findRecord(journal: JournalReader, prefix: string): EventRecord {
  const uid = prefix.toUpperCase();
  const times = uidTimes(uid);
  if (times === undefined || uid.length < SHORTEST)
    throw new CommandError(
      exitCodes.usage,
      `the uid of a record must be at least ${SHORTEST} of the characters 0-9 and A-Z without I, L, O and U, not ${shownValue(prefix)}`,
      "treewarden events shows the uids of verdicts and new trees",
    );
  const filter = { since: times.first, until: times.last, uid };
  const found = journal.newestRows(filter, journal.newest(), SHOWN + 1).map(({ record }) => record);
  const [first, second] = found;
  if (first === undefined)
    throw new CommandError(
      exitCodes.no,
      `the journal has no record ${uid}`,
      "it may be too old, or its uid is in another journal (--state-dir)",
    );
  if (second === undefined) return first;
  const verdicts = found.filter((record) => record["event.name"] === "policy.verdict");
  const [verdict] = verdicts;
  if (verdict !== undefined && verdicts.length === 1 && found.length <= SHOWN) return verdict;
  const lines = found
    .slice(0, SHOWN)
    .map((record) => `  ${record["log.record.uid"]}  ${prettyLine(record, false).trimEnd()}`);
  const more = found.length > SHOWN ? ["  ..."] : [];
  throw new CommandError(
    exitCodes.usage,
    [`several records begin with ${uid}:`, ...lines, ...more],
    "give more of the uid",
  );
}
