// IP literals in a text, and the networks they lie in.
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

export interface Network {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  /** Leading bits that an address of the network shares with `address`. */
  readonly prefix: number;
}

/**
 * Networks by family. A `BlockList` takes an IPv4 address for its IPv4-mapped one too (RFC 4291, 2.5.5.2), so that in one
 * list for both families `::/0` would hold every IPv4 address.
 */
export interface Networks {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

/** The network of `text` ("10.0.0.0/8", "fd00::/8", a single address); undefined if it is not one. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = "", length] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const bits = version === 4 ? 32 : 128;
  const prefix = length === undefined ? bits : Number(length);
  return prefix > bits ? undefined : { address, family: `ipv${version === 4 ? 4 : 6}`, prefix };
}

export function networksOf(networks: readonly Network[]): Networks {
  const lists: Networks = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const { address, prefix, family } of networks) lists[family].addSubnet(address, prefix, family);
  return lists;
}

/** Four numbers that are not part of a longer row of them: neither a version such as 1.2.3.4.5 nor 010.1.2.3. */
const dottedQuads = /(?<!\d|\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)/g;
/** What an IPv6 literal is made of, with a colon in it; looked for only where such a run begins, so that it stays linear. */
const colonRuns = /(?<![0-9A-Fa-f])[0-9A-Fa-f]*:[0-9A-Fa-f:.]*/g;
/** The longest IPv6 literal has 45 characters (INET6_ADDRSTRLEN less its NUL); a colon or dot may stand on either side. */
const RUN_LIMIT = 48;

/**
 * Whether any IP literal in `text` lies in one of `networks`, also one that is glued to an option (`-b10.0.0.1`) or has a
 * port. Octal, hexadecimal and short forms of IPv4 are not seen.
 */
export function hasAddressIn(text: string, networks: Networks): boolean {
  for (const [quad] of text.matchAll(dottedQuads))
    if (isIPv4(quad) && networks.ipv4.check(quad, "ipv4")) return true;
  for (const { 0: run, index } of text.matchAll(colonRuns)) {
    if (run.length > RUN_LIMIT) continue;
    for (const literal of readings(run, isGlued(text, index))) {
      if (!isIPv6(literal)) continue;
      // The list of IPv4 networks holds their IPv4-mapped addresses too.
      if (networks.ipv6.check(literal, "ipv6") || networks.ipv4.check(literal, "ipv6")) return true;
    }
  }
  return false;
}

/** Letters of options before a glued value: one in most programs, few where several are written in one word. */
const OPTION_LIMIT = 8;

/** Whether what begins at `index` continues a word such as `-b`, whose letters may be hexadecimal digits as well. */
function isGlued(text: string, index: number): boolean {
  return /(?<![\w-])-[A-Za-z0-9]*$/.test(text.slice(Math.max(0, index - OPTION_LIMIT), index));
}

/** Every literal that `run` may stand for: punctuation around it is taken off, and what may be an option up to a letter. */
function readings(run: string, glued: boolean): string[] {
  const bare = run.replace(/^:(?!:)/, "").replace(/\.+$/, "");
  const found = [bare];
  if (bare.endsWith(":")) found.push(bare.slice(0, -1));
  if (!glued) return found;
  const [first = ""] = bare.split(":", 1);
  const starts = [...first.matchAll(/[A-Fa-f]/g)].map(({ index }) => index + 1);
  return found.flatMap((literal) => [literal, ...starts.map((start) => literal.slice(start))]);
}
