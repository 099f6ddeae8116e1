// IP literals in a text, and the networks they lie in.
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

export interface Network {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  /** Leading bits that an address of the network shares with `address`. */
  readonly prefix: number;
}

/**
 * Networks by family. A `BlockList` also treats an IPv4 address as its IPv4-mapped one (RFC 4291, 2.5.5.2), so in a
 * single list for both families `::/0` would contain every IPv4 address.
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

/** Four numbers that are not part of a longer sequence: neither a version such as 1.2.3.4.5 nor 010.1.2.3. */
const dottedQuads = /(?<!\d|\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)/g;
/** Runs of the characters of an IPv6 literal with a colon. A match may only begin at a run's start: linear time. */
const colonRuns = /(?<![0-9A-Fa-f])[0-9A-Fa-f]*:[0-9A-Fa-f:.]*/g;
/** The longest IPv6 literal has 45 characters (INET6_ADDRSTRLEN less its NUL); a colon or dot may surround it. */
const RUN_LIMIT = 48;

/**
 * Whether any IP literal in `text` lies in one of `networks`, also if it is glued to an option (`-b10.0.0.1`) or
 * has a port. Octal, hexadecimal and short forms of IPv4 are not recognized.
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

/** The most option letters before a glued value: one in most programs, a few where options are joined. */
const OPTION_LIMIT = 8;

/** Whether the text at `index` continues a word such as `-b`, whose letters may also be hexadecimal digits. */
function isGlued(text: string, index: number): boolean {
  return /(?<![\w-])-[A-Za-z0-9]*$/.test(text.slice(Math.max(0, index - OPTION_LIMIT), index));
}

/** The literals that `run` may contain, without surrounding punctuation and without possible option letters. */
function readings(run: string, glued: boolean): string[] {
  const bare = run.replace(/^:(?!:)/, "").replace(/\.+$/, "");
  const literals = [bare];
  if (bare.endsWith(":")) literals.push(bare.slice(0, -1));
  if (!glued) return literals;
  const [first = ""] = bare.split(":", 1);
  const starts = [...first.matchAll(/[A-Fa-f]/g)].map(({ index }) => index + 1);
  return literals.flatMap((literal) => [literal, ...starts.map((start) => literal.slice(start))]);
}
