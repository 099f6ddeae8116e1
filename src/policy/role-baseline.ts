// The baseline that comes with a role: a file beside the role's file, read with it and never written.
import * as v from "valibot";
import { type FileError, readingBaseline } from "../baseline/baseline-file.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import type { Steps } from "../vocabulary/steps.ts";

export interface RoleBaseline {
  readonly role: string;
  readonly file: string;
  /** `sha256:` and 64 hexadecimal digits, over the file's bytes. */
  readonly digest: string;
  readonly trees: number;
  /** The file's content, already validated. */
  readonly bytes: Uint8Array;
}

/** Room for 200,000 trees. The warden loads them in 2 seconds of CPU. */
export const BASELINE_LIMIT = 32 << 20;

/** The path of the baseline of the role file at `place`: `shop.baseline` beside `shop.json`. */
export function baselineBeside(place: string): string {
  return `${place.replace(/\.json$/, "")}.baseline`;
}

export function* readingRoleBaseline(
  role: string,
  file: string,
  digest: string,
  bytes: Uint8Array,
): Steps<RoleBaseline | readonly FileError[]> {
  let trees = 0;
  const result = yield* readingBaseline(bytes, () => {
    trees += 1;
  });
  if (!result.ok) return result.errors;
  const headerRole = result.value.role;
  if (headerRole !== undefined && headerRole !== role)
    return [{ line: 0, message: `a baseline of role "${headerRole}" beside the file of role "${role}"` }];
  return { role, file, digest, trees, bytes };
}

/** The list of role baselines in force, as text for other processes. */
export function formatRoleBaselines(baselines: readonly RoleBaseline[]): string {
  return JSON.stringify({ version: 1, baselines: baselines.map(({ file, digest }) => ({ file, digest })) });
}

const savedList = v.object({
  version: v.literal(1),
  baselines: v.array(v.object({ file: v.string(), digest: v.string() })),
});

/** Parses the output of `formatRoleBaselines`; undefined for anything else. */
export function parseRoleBaselines(
  text: string,
): readonly Pick<RoleBaseline, "file" | "digest">[] | undefined {
  return parseJson(savedList, text)?.baselines;
}
