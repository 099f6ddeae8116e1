// Checks signatures while a policy is loaded: a file is parsed only if its bytes were signed with a trusted key.
import { timeText } from "../baseline/baseline-file.ts";
import { hintOf, messageOf } from "../vocabulary/errors.ts";
import {
  fileLine,
  openSignature,
  SIGNATURE_LIMIT,
  type SignedFile,
  type Statement,
  signatureBeside,
  type Verify,
} from "./signature.ts";

export interface Trust {
  readonly verify: Verify;
  /** By role, when the newest policy that was in force was signed (seconds since the epoch). Older ones are refused. */
  readonly newest: ReadonlyMap<string, number>;
}

/** Reports an error in a file and its fix. */
type Report = (message: string, fix: string) => void;

const SIGN = "sign it: treewarden policy sign FILE --key KEY";

/** The signatures of one load. */
export class Signatures {
  /** Whether any file was refused for lack of a valid signature. */
  refused = false;
  private readonly trust: Trust;
  private readonly approved = new Set<string>();
  private readonly statements = new Map<string, Statement>();

  constructor(trust: Trust) {
    this.trust = trust;
  }

  /**
   * Whether a role inside the binary, which needs no signature, may be used under its name: not in place of a signed
   * policy whose file is gone.
   */
  permitsEmbedded(role: string, report: Report): boolean {
    if (!this.trust.newest.has(role)) return true;
    this.refused = true;
    report(
      `a signed policy of role "${role}" was in force, and its file is gone`,
      "put it back; the role that comes with treewarden does not take its place",
    );
    return false;
  }

  /** Reads the signature of a policy that was named directly; false if it has no valid one. */
  open(
    place: string,
    read: (path: string, limit: number) => Uint8Array | undefined,
    report: Report,
  ): boolean {
    const path = signatureBeside(place);
    const refuse: Report = (message, fix) => {
      this.refused = true;
      report(message, fix);
    };
    let bytes: Uint8Array | undefined;
    try {
      bytes = read(path, SIGNATURE_LIMIT);
    } catch (error) {
      refuse(`${path} ${messageOf(error)}`, hintOf(error) ?? SIGN);
      return false;
    }
    if (bytes === undefined) {
      refuse(`not signed: there is no ${path}`, SIGN);
      return false;
    }
    const opened = openSignature(bytes, this.trust.verify);
    if (!opened.ok) {
      refuse(`${path} ${opened.message}`, SIGN);
      return false;
    }
    const { statement } = opened;
    const newest = this.trust.newest.get(statement.role);
    if (newest !== undefined && statement.signed < newest) {
      refuse(
        `signed ${timeText(statement.signed)}, before the one in force (${timeText(newest)})`,
        "to go back to it, sign it again",
      );
      return false;
    }
    this.statements.set(place, statement);
    for (const { digest } of statement.files) this.approved.add(digest);
    return true;
  }

  /** Whether a file's bytes are covered by a signature. */
  covers(digest: string): boolean {
    if (this.approved.has(digest)) return true;
    this.refused = true;
    return false;
  }

  /** Checks that a policy consists of exactly the files that its signature lists. */
  check(place: string, role: string, files: readonly SignedFile[], report: Report): void {
    const statement = this.statements.get(place);
    if (statement === undefined) return;
    const refuse = (message: string): void => {
      this.refused = true;
      report(message, SIGN);
    };
    if (statement.role !== role) refuse(`the signature is one of role "${statement.role}"`);
    const signed = new Set(statement.files.map(fileLine));
    const found = new Set(files.map(fileLine));
    for (const file of statement.files)
      if (!found.has(fileLine(file)))
        refuse(`the ${file.kind} of role "${file.role}" was signed with it, and is gone`);
    for (const file of files)
      if (!signed.has(fileLine(file)))
        refuse(`the ${file.kind} of role "${file.role}" was not signed with it`);
  }

  /** The signing time of each role. */
  get signed(): ReadonlyMap<string, number> {
    return new Map([...this.statements.values()].map(({ role, signed }) => [role, signed]));
  }
}
