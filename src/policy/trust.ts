// While a policy is loaded: nothing is parsed that is not, byte for byte, what somebody with a trusted key has signed.
import { timeText } from "../baseline/baseline-file.ts";
import { messageOf } from "../vocabulary/errors.ts";
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
  /** By role, when what is in force was signed (seconds since the epoch): what is older is refused. */
  readonly newest: ReadonlyMap<string, number>;
}

/** Tells what is wrong with a file, and what to do about it. */
type Refuse = (message: string, fix: string) => void;

const SIGN = "sign it: treewarden policy sign FILE --key KEY";

/** The signatures of one load. */
export class Signatures {
  /** Files were refused for lack of a signature over them. */
  refused = false;
  private readonly trust: Trust;
  private readonly approved = new Set<string>();
  private readonly statements = new Map<string, Statement>();

  constructor(trust: Trust) {
    this.trust = trust;
  }

  /** Reads the signature of a policy that was named; false if it has none that counts. */
  open(place: string, read: (path: string, limit: number) => Uint8Array | undefined, tell: Refuse): boolean {
    const path = signatureBeside(place);
    const refuse: Refuse = (message, fix) => {
      this.refused = true;
      tell(message, fix);
    };
    let bytes: Uint8Array | undefined;
    try {
      bytes = read(path, SIGNATURE_LIMIT);
    } catch (error) {
      refuse(`${path} cannot be read: ${messageOf(error)}`, SIGN);
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

  /** Whether a file's bytes are among those that were signed. */
  covers(digest: string): boolean {
    if (this.approved.has(digest)) return true;
    this.refused = true;
    return false;
  }

  /** Whether a policy that was named is made of exactly the files that its signature says. */
  check(place: string, role: string, files: readonly SignedFile[], tell: Refuse): void {
    const statement = this.statements.get(place);
    if (statement === undefined) return;
    const refuse = (message: string): void => {
      this.refused = true;
      tell(message, SIGN);
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

  /** When each role was signed. */
  get signed(): ReadonlyMap<string, number> {
    return new Map([...this.statements.values()].map(({ role, signed }) => [role, signed]));
  }
}
