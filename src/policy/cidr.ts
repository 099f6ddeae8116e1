// IP literals in a text, and the networks they lie in.

/** An address of 4 or 16 bytes. */
type Address = readonly number[];

interface Network {
  readonly address: Address;
  readonly bits: number;
}

/** The network of `text` ("10.0.0.0/8", "fd00::/8", a single address); undefined if it is none. */
export function parseNetwork(text: string): Network | undefined {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const whole = address.length * 8;
  if (slash < 0) return { address, bits: whole };
  const length = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length)) return undefined;
  const bits = Number(length);
  return bits > whole ? undefined : { address, bits };
}

function lies(address: Address, network: Network): boolean {
  if (address.length !== network.address.length) return false;
  let left = network.bits;
  for (let i = 0; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
    if (((address[i] ?? 0) & mask) !== ((network.address[i] ?? 0) & mask)) return false;
  }
  return true;
}

// What may stand in an IP literal, in one run; ports, brackets and zones are cut off below.
const candidates = /[0-9A-Fa-f:.]{2,}/g;

/** Whether any IP literal in `text` lies in one of `networks`. Octal, hexadecimal and short forms of IPv4 are not seen. */
export function hasAddressIn(text: string, networks: readonly Network[]): boolean {
  for (const [found] of text.matchAll(candidates)) {
    for (const literal of readings(found)) {
      const address = parseAddress(literal);
      if (address === undefined) continue;
      if (networks.some((network) => lies(address, network))) return true;
      const inner = mapped(address);
      if (inner !== undefined && networks.some((network) => lies(inner, network))) return true;
    }
  }
  return false;
}

/** The longest IPv6 literal with a zone or a port cut off is short: 45 characters and 6 for the port. */
const LITERAL_LIMIT = 64;

/** "1.2.3.4:80" is an address and a port, "1.2.3.4." ends a sentence, ":1.2.3.4" ends a user and host. */
function readings(run: string): string[] {
  if (run.length > LITERAL_LIMIT) return run.split(":").filter((part) => part.length <= LITERAL_LIMIT);
  const trimmed = run.replace(/\.+$/, "");
  const found = [trimmed];
  for (const part of trimmed.split(":")) if (part.includes(".")) found.push(part);
  if (/[^:]:$/.test(trimmed)) found.push(trimmed.slice(0, -1));
  return found;
}

/** The IPv4 address in an IPv4-mapped IPv6 one (RFC 4291, 2.5.5.2). */
function mapped(address: Address): Address | undefined {
  if (address.length !== 16) return undefined;
  for (let i = 0; i < 10; i++) if (address[i] !== 0) return undefined;
  return address[10] === 0xff && address[11] === 0xff ? address.slice(12) : undefined;
}

function parseAddress(text: string): Address | undefined {
  return text.includes(":") ? parseIPv6(text) : parseIPv4(text);
}

function parseIPv4(text: string): Address | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes: number[] = [];
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes.push(Number(part));
  }
  return bytes;
}

function parseIPv6(text: string): Address | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] ?? "");
  const tail = halves.length === 2 ? groups(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const gap = 16 - head.length - tail.length;
  if (halves.length === 2 ? gap < 2 : gap !== 0) return undefined;
  return [...head, ...new Array<number>(gap).fill(0), ...tail];
}

function groups(text: string): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (i === parts.length - 1 && part.includes(".")) {
      const last = parseIPv4(part);
      if (last === undefined) return undefined;
      bytes.push(...last);
    } else {
      if (!/^[0-9A-Fa-f]{1,4}$/.test(part)) return undefined;
      const group = Number.parseInt(part, 16);
      bytes.push(group >> 8, group & 0xff);
    }
  }
  return bytes;
}
