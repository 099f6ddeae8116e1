// A policy's signature: a text beside the file with the signed digests, the time and the role. The caller passes in
// the verification, so that programs without keys need no cryptography.
import { parseTime, timeText } from "../baseline/baseline-file.ts";

const signedKinds = ["policy", "baseline", "digests", "list", "change"] as const;
type SignedKind = (typeof signedKinds)[number];

/** A file that a signature covers, identified by its purpose. Its location is not signed. */
export interface SignedFile {
  readonly kind: SignedKind;
  /** Of a change: its id. */
  readonly role: string;
  /** `sha256:` and 64 hexadecimal digits, over the file's bytes. */
  readonly digest: string;
}

export interface Statement {
  readonly role: string;
  /** The signing time in seconds since the epoch, which orders versions of a policy. */
  readonly signed: number;
  /** The files of the policy that are not inside the binary, each once. */
  readonly files: readonly SignedFile[];
}

/** Whether `signature` (64 bytes) is an Ed25519 signature over the statement by a trusted key. */
export type Verify = (statement: Uint8Array, signature: Uint8Array) => boolean;

export type Opened =
  | { readonly ok: true; readonly statement: Statement }
  | { readonly ok: false; readonly message: string };

/** The first line of a statement, so that a signature over any other text is never valid for a policy. */
const FORMAT = "treewarden-policy-signature 1";
const NO_SIGNATURE = "is no signature";
/** The most bytes of a signature file: room for hundreds of files. */
export const SIGNATURE_LIMIT = 65_536;

/** The path of the signature of the policy at `place`. */
export function signatureBeside(place: string): string {
  return `${place}.sig`;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** A file as one line of the statement. Files are compared by this text. */
export function fileLine({ kind, role, digest }: SignedFile): string {
  return `${kind} ${role} ${digest}`;
}

/** The text that is signed. Each statement has exactly one text. */
export function formatStatement({ role, signed, files }: Statement): string {
  const lines = [...new Set(files.map(fileLine))].sort();
  return [FORMAT, `role ${role}`, `signed ${timeText(signed)}`, ...lines, ""].join("\n");
}

/** The content of the file beside the policy. */
export function formatSignature(statement: string, signature: Uint8Array): string {
  return `${statement}signature ${Buffer.from(signature).toString("base64")}\n`;
}

/**
 * Reads the output of `formatSignature`, whose statement must begin with the line `format` (letters, digits, hyphens
 * and blanks). Returns the statement's text once its signature has been verified.
 */
export function openSignedText(
  bytes: Uint8Array,
  format: string,
  verify: Verify,
): { readonly ok: true; readonly text: string } | { readonly ok: false; readonly message: string } {
  const text = Buffer.from(bytes).toString("latin1");
  const shape = new RegExp(`^(${format}\\n[\\x20-\\x7e\\n]*\\n)signature ([A-Za-z0-9+/]{86}==)\\n$`);
  const [, signedText, base64] = shape.exec(text) ?? [];
  if (signedText === undefined || base64 === undefined) return { ok: false, message: NO_SIGNATURE };
  if (!verify(Buffer.from(signedText, "latin1"), Buffer.from(base64, "base64")))
    return { ok: false, message: "was not made with a key that is trusted, or was changed since" };
  return { ok: true, text: signedText };
}

/** Reads the signature of a policy. Verifies it before it parses anything else. */
export function openSignature(bytes: Uint8Array, verify: Verify): Opened {
  const opened = openSignedText(bytes, FORMAT, verify);
  if (!opened.ok) return opened;
  const statement = parseStatement(opened.text);
  return statement === undefined ? { ok: false, message: NO_SIGNATURE } : { ok: true, statement };
}

function parseStatement(text: string): Statement | undefined {
  const [, roleLine = "", signedLine = "", ...lines] = text.split("\n");
  const signed = parseTime(signedLine.replace(/^signed /, ""));
  const files: SignedFile[] = [];
  for (const line of lines.slice(0, -1)) {
    const [, word, role, digest] = /^([a-z]+) (\S+) (sha256:[0-9a-f]{64})$/.exec(line) ?? [];
    const kind = signedKinds.find((known) => known === word);
    if (kind === undefined || role === undefined || digest === undefined) return undefined;
    files.push({ kind, role, digest });
  }
  if (signed === undefined) return undefined;
  const statement = { role: roleLine.replace(/^role /, ""), signed, files };
  return formatStatement(statement) === text ? statement : undefined;
}
