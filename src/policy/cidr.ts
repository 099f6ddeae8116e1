// IP literals in a text, and the networks they lie in.
import { parseIpv4, parseIpv6 } from "../vocabulary/ip-address.ts";
import { IPV4_BYTES, mappedIpv4, type Network } from "../vocabulary/ip-network.ts";
import { NetworkSet } from "./network-set.ts";

/**
 * Networks by family. An IPv4 network also holds the IPv4-mapped addresses of its own (RFC 4291, 2.5.5.2); an IPv6
 * network such as `::/0` holds no IPv4 address.
 */
export interface Networks {
  readonly ipv4: NetworkSet;
  readonly ipv6: NetworkSet;
}

export function networksOf(networks: readonly Network[]): Networks {
  return {
    ipv4: new NetworkSet(networks.filter(({ address }) => address.length === IPV4_BYTES)),
    ipv6: new NetworkSet(networks.filter(({ address }) => address.length !== IPV4_BYTES)),
  };
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
  // The address of a connection, which needs no search.
  const whole = parseIpv4(text);
  if (whole !== undefined) return networks.ipv4.has(whole);
  for (const [quad] of text.matchAll(dottedQuads)) {
    const address = parseIpv4(quad);
    if (address !== undefined && networks.ipv4.has(address)) return true;
  }
  for (const { 0: run, index } of text.matchAll(colonRuns)) {
    if (run.length > RUN_LIMIT) continue;
    for (const literal of readings(run, isGlued(text, index))) {
      const address = parseIpv6(literal);
      if (address === undefined) continue;
      const mapped = mappedIpv4(address);
      if (networks.ipv6.has(address) || (mapped !== undefined && networks.ipv4.has(mapped))) return true;
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
