// Checks the name and password of a request (RFC 7617) against bcrypt hashes. One comparison takes 70 ms of CPU and more,
// by design, so that what was accepted is remembered and what is not known is limited: for each client's address by a token
// bucket of its own, and for all of them together by the number of comparisons under way.
import { parseIpv6 } from "../vocabulary/ip-address.ts";
import { createTokens, type Tokens } from "./tokens.ts";

export type AuthResult = "accepted" | "refused" | "too many";

export interface BasicAuthOptions {
  /** Hashes by user; at least one. */
  readonly users: Readonly<Record<string, string>>;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  readonly verify?: (password: string, hash: string) => Promise<boolean>;
}

/** Comparisons that one address may ask for at once, and afterwards in a second. */
const BURST = 10;
const PER_SECOND = 1;
/** Comparisons under way, each of which uses a CPU: of all addresses, and of one, which leaves room for another one. */
const UNDER_WAY = 4;
const UNDER_WAY_OF_ADDRESS = 2;
/** Addresses whose limits are remembered; beyond this the one that was used least recently is forgotten. */
const ADDRESSES = 1_024;
/** bcrypt reads no more bytes of a password; implementations differ in what they make of the others. */
const LONGEST_PASSWORD = 72;

interface Client {
  readonly tokens: Tokens;
  underWay: number;
}

export class BasicAuth {
  private readonly users: ReadonlyMap<string, string>;
  private readonly verify: (password: string, hash: string) => Promise<boolean>;
  /** The hash with which an unknown user's password is compared: the one that takes longest. */
  private readonly slowest: string;
  private readonly now: () => number;
  /** By `networkOf` the address, the least recently used first. Invalidated by: room for `ADDRESSES`. */
  private readonly clients = new Map<string, Client>();
  private readonly salt = crypto.randomUUID();
  /** Digest of the password by which each user was accepted last. Invalidated by nothing: the hashes never change. */
  private readonly accepted = new Map<string, string>();
  /** Comparisons under way, by digest: of several equal requests at once only one is compared. */
  private readonly comparing = new Map<string, Promise<boolean>>();

  constructor(options: BasicAuthOptions) {
    this.users = new Map(Object.entries(options.users));
    this.verify = options.verify ?? ((password, hash) => Bun.password.verify(password, hash));
    this.slowest = Object.values(options.users).reduce((slowest, hash) =>
      costOf(hash) > costOf(slowest) ? hash : slowest,
    );
    this.now = options.now ?? (() => performance.now());
  }

  /** `header`: the value of Authorization. `address`: the IP address of the client. Never rejects. */
  async check(header: string | null, address: string): Promise<AuthResult> {
    const credentials = parseCredentials(header);
    if (credentials === undefined) return "refused";
    const { user, password } = credentials;
    if (Buffer.byteLength(password) > LONGEST_PASSWORD) return "refused";
    const digest = this.digestOf(user, password);
    if (this.accepted.get(user) === digest) return "accepted";
    const present = this.comparing.get(digest);
    if (present !== undefined) return (await present) ? "accepted" : "refused";
    const client = this.client(networkOf(address));
    if (this.comparing.size >= UNDER_WAY || client.underWay >= UNDER_WAY_OF_ADDRESS) return "too many";
    if (!client.tokens.take()) return "too many";
    client.underWay += 1;
    const comparing = this.compare(user, password, digest);
    this.comparing.set(digest, comparing);
    const isRight = await comparing;
    client.underWay -= 1;
    return isRight ? "accepted" : "refused";
  }

  private client(network: string): Client {
    const present = this.clients.get(network);
    const client = present ?? {
      tokens: createTokens({ burst: BURST, perSecond: PER_SECOND, now: this.now }),
      underWay: 0,
    };
    // Setting a key again would leave it at its place.
    this.clients.delete(network);
    this.clients.set(network, client);
    const [oldest = network] = this.clients.keys();
    if (this.clients.size > ADDRESSES) this.clients.delete(oldest);
    return client;
  }

  /**
   * A wrong password takes as long for an unknown user as for any known one, so that the time does not show who is known.
   * The time of a comparison doubles with each step of the cost.
   */
  private async compare(user: string, password: string, digest: string): Promise<boolean> {
    try {
      const hash = this.users.get(user);
      const compared = hash ?? this.slowest;
      const isRight = await this.verify(password, compared);
      if (isRight && hash !== undefined) {
        this.accepted.set(user, digest);
        return true;
      }
      for (let cost = costOf(compared); cost < costOf(this.slowest); cost += 1)
        await this.verify(password, withCost(compared, cost));
      return false;
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

/** The cost in a bcrypt hash: `$2y$10$...`. */
function costOf(hash: string): number {
  return Number(hash.slice(4, 6));
}

/** A hash that takes as long as one of `cost` to compare with. */
function withCost(hash: string, cost: number): string {
  return `${hash.slice(0, 4)}${String(cost).padStart(2, "0")}${hash.slice(6)}`;
}

/** An IPv4 address, or the first 64 bits of an IPv6 address: a single host has all addresses that begin with them. */
function networkOf(address: string): string {
  const bytes = parseIpv6(address);
  // RFC 4291, 2.5.5.2: an IPv4 client of a socket that listens on both.
  if (bytes === undefined || /^::ffff:/i.test(address)) return address;
  return bytes.slice(0, 8).join();
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
