// Process accounting: the kernel writes it, users choose the names, and a file may come from anywhere.
import { parseAccountingRecord, RECORD_BYTES } from "../../../src/sensor/acct/accounting-record.ts";
import { storyOf } from "../../../src/sensor/acct/story.ts";
import type { FuzzTarget } from "../target.ts";

const clocks = { wallOffset: 1.7e18, suspended: 0 };

export const accounting: FuzzTarget = {
  name: "accounting",
  parses: "records of process accounting, and the order in which they happened",
  weight: 8,
  parse(input) {
    const records = [];
    for (let at = 0; at + RECORD_BYTES <= input.length; at += RECORD_BYTES) {
      const record = parseAccountingRecord(input, at);
      if (!("failure" in record)) records.push(record);
    }
    return storyOf(records, clocks).length;
  },
};
