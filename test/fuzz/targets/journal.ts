// Rows of the reporter's database, which a taken-over reporter writes as it likes: what `events` and `show` show of them,
// what `policy impact` judges, and what `baseline accept` takes.
import { entryOfTree } from "../../../src/baseline/learned-entry.ts";
import { verifyRow } from "../../../src/baseline/learned-seal.ts";
import { lineageLines } from "../../../src/cli/show/lineage-lines.ts";
import { nextCommands } from "../../../src/cli/show/next-commands.ts";
import { identify } from "../../../src/fingerprint/identify.ts";
import { decodeText, printable } from "../../../src/linux/text.ts";
import { recordedSubject } from "../../../src/offline/recorded-subject.ts";
import { prettyLine } from "../../../src/report/pretty.ts";
import { isWanted } from "../../../src/reporter/event-filter.ts";
import { parseJournalRecord } from "../../../src/reporter/journal-reader.ts";
import { SEAL_KEY_BYTES } from "../../../src/vocabulary/seal.ts";
import { readCorpus } from "../corpus.ts";
import { type FuzzTarget, latin1, sizeOf } from "../target.ts";

const key = new Uint8Array(SEAL_KEY_BYTES).fill(7);
/** What the corpus has with its seals: nothing else may verify. */
const genuine = new Set(readCorpus("journal").map((entry) => JSON.stringify(verifyRow(latin1(entry), key))));

const filter = {
  rule: { ruleset: undefined, name: "a" },
  under: 1,
  tree: { pattern: "/a", matches: (labels: readonly string[]) => labels.includes("a") },
};
const subjects = { identify, environmentNames: ["ENV"], knowledgeOf: () => ({}) };

export const journal: FuzzTarget = {
  name: "journal",
  parses: "rows of the journal: records that are shown, and learned trees that are accepted",
  weight: 8,
  words: [
    '"event.name":"policy.verdict"',
    '"process.command_args":["',
    '"process.ancestors":["{\\"process.pid\\":1}","',
    '"tree.exact":"/a",',
    '"tree.path":"/a",',
    '"tree_seal":"',
    "\u009b",
    '["a",',
  ],
  parse(input) {
    const record = parseJournalRecord(decodeText(input));
    const line = prettyLine(record, false);
    const shown = [line.slice(0, -1), ...lineageLines(record, () => false), ...nextCommands(record, false)];
    for (const text of shown)
      if (printable(text) !== text) throw new Error(`a terminal would obey this: ${JSON.stringify(text)}`);
    isWanted(filter, record);
    recordedSubject(record, subjects);
    const learned = verifyRow(latin1(input), key);
    if (!genuine.has(JSON.stringify(learned))) throw new Error("a row was taken that no warden has sealed");
    return line.length + sizeOf(learned && entryOfTree(learned.tree));
  },
};
