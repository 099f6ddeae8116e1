// Keeps when the policies that were in force were signed, in a file that only root writes. An older policy, which may
// lack a rule that was added since, is refused also by the next warden, and also if the newer one was away in between.
import { join } from "node:path";
import * as v from "valibot";
import { readCheckedFile, stateFile } from "../linux/root-file.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { count, parseJson } from "../vocabulary/parse-json.ts";
import type { WriteFile } from "./atomic-file-writer.ts";

const FILE = "signed-policies.json";
/** In bytes: thousands of roles. */
const FILE_LIMIT = 1 << 20;

const savedTimes = v.strictObject({ version: v.literal(1), signed: v.record(v.string(), count) });

/** By role, when the newest policy that was in force was signed (seconds since the epoch). */
export type SigningTimes = ReadonlyMap<string, number>;

/** Why the file cannot be used, and how to repair that. */
export interface SigningTimesProblem {
  readonly file: string;
  readonly message: string;
  readonly fix: string | undefined;
}

/** Reads what `SignedPolicies` has saved; empty if it has saved nothing yet. */
export function readNewestSigned(stateDirectory: string): SigningTimes | SigningTimesProblem {
  const file = join(stateDirectory, FILE);
  const content = readCheckedFile(file, stateFile(FILE_LIMIT));
  if (!content.ok) {
    const { kind, reason, fix } = content.problem;
    return kind === "missing" ? new Map() : { file, message: reason, fix };
  }
  const saved = parseJson(savedTimes, content.bytes.toString("utf8"));
  if (saved !== undefined) return new Map(Object.entries(saved.signed));
  const message = "does not say which policies were in force, so an older one could not be refused";
  return { file, message, fix: `after a look at the policies, remove it: rm ${file}` };
}

/** The newer time of each role. */
export function newestOf(a: SigningTimes, b: SigningTimes): SigningTimes {
  const newest = new Map(a);
  for (const [role, signed] of b) newest.set(role, Math.max(signed, newest.get(role) ?? 0));
  return newest;
}

export interface SignedPoliciesInputs {
  readonly stateDirectory: string;
  readonly writeFile: WriteFile;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class SignedPolicies {
  private readonly inputs: SignedPoliciesInputs;
  private newest: SigningTimes;
  private savedText = "";

  constructor(inputs: SignedPoliciesInputs) {
    this.inputs = inputs;
    const saved = readNewestSigned(inputs.stateDirectory);
    this.newest = "message" in saved ? new Map() : saved;
    this.savedText = textOf(this.newest);
  }

  /** Saves the signing times of policies that are in force from now on. Without signed policies there is no file. */
  remember(signed: SigningTimes): void {
    this.newest = newestOf(this.newest, signed);
    const text = textOf(this.newest);
    if (text === this.savedText) return;
    this.savedText = text;
    const { stateDirectory, writeFile, recordChange } = this.inputs;
    writeFile(join(stateDirectory, FILE), text, (error) => {
      // The next policy that is loaded tries again.
      this.savedText = "";
      recordChange("policy.not_saved", { "error.message": String(error) });
    });
  }
}

function textOf(newest: SigningTimes): string {
  const sorted = [...newest].sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify({ version: 1, signed: Object.fromEntries(sorted) })}\n`;
}
