// Rows of the reporter's database, which a taken-over reporter writes as it likes: what `events` shows of them, and what
// `baseline accept` takes.
import { entryOfTree } from "../../../src/baseline/learned.ts";
import { SEAL_KEY_BYTES, verifyRow } from "../../../src/baseline/learned-seal.ts";
import { decodeText, printable } from "../../../src/linux/text.ts";
import { prettyLine } from "../../../src/report/pretty.ts";
import { parseJournalRecord } from "../../../src/reporter/journal-reader.ts";
import { readCorpus } from "../corpus.ts";
import { type FuzzTarget, latin1, sizeOf } from "../target.ts";

const key = new Uint8Array(SEAL_KEY_BYTES).fill(7);
/** What the corpus has with its seals: nothing else may verify. */
const genuine = new Set(readCorpus("journal").map((entry) => JSON.stringify(verifyRow(latin1(entry), key))));

export const journal: FuzzTarget = {
  name: "journal",
  parses: "rows of the journal: records that are shown, and learned trees that are accepted",
  weight: 8,
  words: ['"event.name":"policy.verdict"', '"process.command_args":["', '"tree_seal":"', "\u009b", '["a",'],
  parse(input) {
    const record = parseJournalRecord(decodeText(input));
    const line = prettyLine(record, false);
    if (printable(line.slice(0, -1)) !== line.slice(0, -1))
      throw new Error(`a terminal would obey this: ${JSON.stringify(line)}`);
    const learned = verifyRow(latin1(input), key);
    if (!genuine.has(JSON.stringify(learned))) throw new Error("a row was taken that no warden has sealed");
    return line.length + sizeOf(learned && entryOfTree(learned.tree));
  },
};
