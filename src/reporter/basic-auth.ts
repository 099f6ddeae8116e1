// Checks the name and password of a request (RFC 7617) against bcrypt hashes. One comparison takes 70 ms of CPU and more,
// by design, so that what was accepted is remembered and what is not known is limited.
import { createTokens, type Tokens } from "./tokens.ts";

export type AuthResult = "accepted" | "refused" | "too many";

export interface BasicAuthOptions {
  /** Hashes by user; at least one. */
  readonly users: Readonly<Record<string, string>>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  readonly verify?: (password: string, hash: string) => Promise<boolean>;
}

/** Comparisons that may be made at once, and afterwards in a second. */
const BURST = 10;
const PER_SECOND = 1;
/** bcrypt reads no more bytes of a password; implementations differ in what they make of the others. */
const LONGEST_PASSWORD = 72;

export class BasicAuth {
  private readonly users: ReadonlyMap<string, string>;
  private readonly verify: (password: string, hash: string) => Promise<boolean>;
  private readonly tokens: Tokens;
  private readonly salt = crypto.randomUUID();
  /** Digest of the password by which each user was accepted last. Invalidated by nothing: the hashes never change. */
  private readonly accepted = new Map<string, string>();
  /** Comparisons under way, by digest: of several equal requests at once only one is compared. */
  private readonly comparing = new Map<string, Promise<boolean>>();

  constructor(options: BasicAuthOptions) {
    this.users = new Map(Object.entries(options.users));
    this.verify = options.verify ?? ((password, hash) => Bun.password.verify(password, hash));
    this.tokens = createTokens({
      burst: BURST,
      perSecond: PER_SECOND,
      now: options.now ?? (() => performance.now()),
    });
  }

  /** `header`: the value of Authorization. Never rejects. */
  async check(header: string | null): Promise<AuthResult> {
    const credentials = parseCredentials(header);
    if (credentials === undefined) return "refused";
    const { user, password } = credentials;
    if (Buffer.byteLength(password) > LONGEST_PASSWORD) return "refused";
    const digest = this.digestOf(user, password);
    if (this.accepted.get(user) === digest) return "accepted";
    const present = this.comparing.get(digest);
    if (present === undefined && !this.tokens.take()) return "too many";
    const comparing = present ?? this.compare(user, password, digest);
    this.comparing.set(digest, comparing);
    return (await comparing) ? "accepted" : "refused";
  }

  /** An unknown user takes as long as a known one, so that the time does not show who is known. */
  private async compare(user: string, password: string, digest: string): Promise<boolean> {
    try {
      const hash = this.users.get(user);
      const [any = ""] = this.users.values();
      const isRight = await this.verify(password, hash ?? any);
      if (!isRight || hash === undefined) return false;
      this.accepted.set(user, digest);
      return true;
    } catch {
      return false;
    } finally {
      this.comparing.delete(digest);
    }
  }

  /** The salt keeps digests of this process from being compared with any others. */
  private digestOf(user: string, password: string): string {
    return new Bun.CryptoHasher("sha256").update(`${this.salt}${user}:${password}`).digest("hex");
  }
}

function parseCredentials(
  header: string | null,
): { readonly user: string; readonly password: string } | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
