// Which change windows a warden has open: its file tells the next warden which ends it has to report, and commands that
// a window is in force.
import * as v from "valibot";
import { parseJson } from "../vocabulary/parse-json.ts";
import { EXCLUSIONS_LIMIT } from "./exclusions.ts";

const savedChanges = v.object({
  version: v.literal(1),
  open: v.pipe(v.array(v.string()), v.maxLength(EXCLUSIONS_LIMIT)),
});

/** The content of the file, of the ids of changes. */
export function formatOpenChanges(ids: Iterable<string>): string {
  return JSON.stringify({ version: 1, open: [...ids].sort() });
}

/** Parses the output of `formatOpenChanges`; undefined for any other text. */
export function parseOpenChanges(text: string): readonly string[] | undefined {
  return parseJson(savedChanges, text)?.open;
}
