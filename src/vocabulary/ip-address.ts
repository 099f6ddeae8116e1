// Parses the text of IP addresses. The module node:net does too, but loads all streams of Node.js with it: 1.7 MB in each
// process (Bun 1.4.5).

/** The bytes of an address in network order: 4 of IPv4, 16 of IPv6. */
export type IpAddress = readonly number[];

const group = /^[0-9A-Fa-f]{1,4}$/;
const GROUPS = 8;

/** INET_ADDRSTRLEN of netinet/in.h, without the NUL. */
const LONGEST_IPV4 = 15;
const DOT = 46;
const ZERO = 48;

/**
 * Parses four decimal numbers without leading zeros, as inet_pton(3) requires them, with dots between; undefined for any
 * other text. Conditions parse the address of each connection, so it takes neither regular expressions nor `split`.
 */
export function parseIpv4(text: string): IpAddress | undefined {
  if (text.length > LONGEST_IPV4) return undefined;
  const bytes: number[] = [];
  let digits = 0;
  let byte = 0;
  for (let i = 0; i <= text.length; i += 1) {
    // The end counts as a dot.
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || byte > 255) return undefined;
      bytes.push(byte);
      digits = 0;
      byte = 0;
    } else {
      const digit = code - ZERO;
      if (digit < 0 || digit > 9 || (digits > 0 && byte === 0)) return undefined;
      digits += 1;
      byte = byte * 10 + digit;
    }
  }
  return bytes.length === 4 ? bytes : undefined;
}

/** Parses an IPv6 literal (RFC 4291, 2.2), without a zone; undefined for any other text. */
export function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split("::", 3);
  const [front = "", back] = halves;
  if (halves.length > 2) return undefined;
  const last = bytesOf(back ?? front, true);
  const first = back === undefined ? [] : bytesOf(front, false);
  if (last === undefined || first === undefined) return undefined;
  // `::` stands for at least one group.
  const missing = 2 * GROUPS - first.length - last.length;
  if (back === undefined ? missing !== 0 : missing < 2) return undefined;
  return [...first, ...new Array<number>(missing).fill(0), ...last];
}

/** The bytes of groups with colons between. `isEnd`: the last two may be written as an IPv4 address. */
function bytesOf(text: string, isEnd: boolean): IpAddress | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":", GROUPS + 1);
  for (const [i, each] of groups.entries()) {
    const ipv4 = isEnd && i === groups.length - 1 ? parseIpv4(each) : undefined;
    if (ipv4 !== undefined) bytes.push(...ipv4);
    else if (group.test(each)) {
      const number = Number.parseInt(each, 16);
      bytes.push(number >> 8, number & 0xff);
    } else return undefined;
  }
  return bytes;
}

/** The text of an address: four decimal numbers for 4 bytes, and as RFC 5952 wants it for 16. */
export function formatAddress(bytes: ArrayLike<number>): string {
  if (bytes.length === 4) return Array.from(bytes).join(".");
  const groups = Array.from(
    { length: GROUPS },
    (_, i) => (bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0),
  );
  const zeros = longestZeros(groups);
  const hex = (part: readonly number[]) => part.map((each) => each.toString(16)).join(":");
  if (zeros === undefined) return hex(groups);
  return `${hex(groups.slice(0, zeros.first))}::${hex(groups.slice(zeros.end))}`;
}

/** The first of the longest runs of two or more groups that are 0. */
function longestZeros(groups: readonly number[]): { first: number; end: number } | undefined {
  let longest: { first: number; end: number } | undefined;
  let first = 0;
  groups.forEach((each, i) => {
    if (each !== 0) first = i + 1;
    else if (i + 1 - first > Math.max(1, longest === undefined ? 1 : longest.end - longest.first))
      longest = { first, end: i + 1 };
  });
  return longest;
}
