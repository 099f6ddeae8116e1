// What the signature of a release states: its files with their digests, and when it was signed. The same keys and the
// same form as for policies (src/policy/signature.ts).
import { parseTime, timeText } from "../../baseline/baseline-file.ts";
import { openSignedText, type Verify } from "../../policy/signature.ts";

export interface ReleaseStatement {
  /** Seconds since the epoch. */
  readonly signed: number;
  /** `sha256:` and 64 hexadecimal digits, by the names of the files. */
  readonly digests: ReadonlyMap<string, string>;
}

/** The first line, so that a signature over a policy is never valid for a release. */
const FORMAT = "treewarden-release-signature 1";
/** The name of the signature among the files of a release. */
export const RELEASE_SIGNATURE = "release.sig";

/** True for the names that files of a release may have: no path, and nothing that needs quoting. */
export function isReleaseFileName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._+~-]*$/.test(name);
}

/** The text that is signed. Each statement has exactly one text. */
export function formatReleaseStatement({ signed, digests }: ReleaseStatement): string {
  const lines = [...digests].map(([name, digest]) => `file ${digest} ${name}`).sort();
  return [FORMAT, `signed ${timeText(signed)}`, ...lines, ""].join("\n");
}

/** Reads a signature of a release, after it has verified it. */
export function openReleaseSignature(
  bytes: Uint8Array,
  verify: Verify,
):
  | { readonly ok: true; readonly statement: ReleaseStatement }
  | { readonly ok: false; readonly message: string } {
  const opened = openSignedText(bytes, FORMAT, verify);
  if (!opened.ok) return opened;
  const statement = parseReleaseStatement(opened.text);
  return statement === undefined ? { ok: false, message: "is no signature" } : { ok: true, statement };
}

function parseReleaseStatement(text: string): ReleaseStatement | undefined {
  const [, signedLine = "", ...lines] = text.split("\n");
  const signed = parseTime(signedLine.replace(/^signed /, ""));
  const digests = new Map<string, string>();
  for (const line of lines.slice(0, -1)) {
    const [, digest, name] = /^file (sha256:[0-9a-f]{64}) (\S+)$/.exec(line) ?? [];
    if (digest === undefined || name === undefined || !isReleaseFileName(name)) return undefined;
    digests.set(name, digest);
  }
  if (signed === undefined) return undefined;
  const statement = { signed, digests };
  return formatReleaseStatement(statement) === text ? statement : undefined;
}
