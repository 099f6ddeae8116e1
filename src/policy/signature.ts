// A policy's signature: a text beside the file that says which bytes were signed, when, and for which role.
// The cryptography is handed in, so that whoever has no keys does not carry it.
import { parseTime, timeText } from "../baseline/baseline-file.ts";

/** One file that a signature covers, by what it is for: where it lies is the host's business. */
export interface SignedFile {
  readonly kind: "policy" | "baseline";
  readonly role: string;
  /** `sha256:` and 64 hexadecimal digits, over the file's bytes. */
  readonly digest: string;
}

export interface Statement {
  readonly role: string;
  /** When it was signed, seconds since the epoch: an older policy can be told from a newer one. */
  readonly signed: number;
  /** Every file that the policy is made of and that is not inside the binary, each once. */
  readonly files: readonly SignedFile[];
}

/** Whether these 64 bytes are an Ed25519 signature over the statement by a key that is trusted. */
export type Verify = (statement: Uint8Array, signature: Uint8Array) => boolean;

export type Opened =
  | { readonly ok: true; readonly statement: Statement }
  | { readonly ok: false; readonly message: string };

/** Its first line keeps a signature over anything else from ever being one over a policy. */
const FORMAT = "treewarden-policy-signature 1";
/** Room for hundreds of files. */
export const SIGNATURE_LIMIT = 65_536;

/** Where the signature of the policy at `place` lies. */
export function signatureBeside(place: string): string {
  return `${place}.sig`;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** A file as one line, which is also what two files are compared by. */
export function fileLine({ kind, role, digest }: SignedFile): string {
  return `${kind} ${role} ${digest}`;
}

/** The bytes that are signed: there is one way to write a statement. */
export function formatStatement({ role, signed, files }: Statement): string {
  const lines = [...new Set(files.map(fileLine))].sort();
  return [FORMAT, `role ${role}`, `signed ${timeText(signed)}`, ...lines, ""].join("\n");
}

/** The content of the file beside the policy. */
export function formatSignature(statement: string, signature: Uint8Array): string {
  return `${statement}signature ${Buffer.from(signature).toString("base64")}\n`;
}

/** Reads what `formatSignature` wrote. Nothing in it is looked at before the signature was found right. */
export function openSignature(bytes: Uint8Array, verify: Verify): Opened {
  const text = Buffer.from(bytes).toString("latin1");
  const [, signedText, base64] =
    /^(treewarden-policy-signature 1\n[\x20-\x7e\n]*\n)signature ([A-Za-z0-9+/]{86}==)\n$/.exec(text) ?? [];
  if (signedText === undefined || base64 === undefined) return { ok: false, message: "is no signature" };
  if (!verify(Buffer.from(signedText, "latin1"), Buffer.from(base64, "base64")))
    return { ok: false, message: "was not made with a key that is trusted, or was changed since" };
  const statement = parseStatement(signedText);
  return statement === undefined ? { ok: false, message: "is no signature" } : { ok: true, statement };
}

function parseStatement(text: string): Statement | undefined {
  const [, roleLine = "", signedLine = "", ...lines] = text.split("\n");
  const signed = parseTime(signedLine.replace(/^signed /, ""));
  const files: SignedFile[] = [];
  for (const line of lines.slice(0, -1)) {
    const [, kind, role, digest] = /^(policy|baseline) (\S+) (sha256:[0-9a-f]{64})$/.exec(line) ?? [];
    if (role === undefined || digest === undefined) return undefined;
    files.push({ kind: kind === "policy" ? "policy" : "baseline", role, digest });
  }
  if (signed === undefined) return undefined;
  const statement = { role: roleLine.replace(/^role /, ""), signed, files };
  return formatStatement(statement) === text ? statement : undefined;
}
