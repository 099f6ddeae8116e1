// The text of IP addresses is read as inet_pton(3) reads it.
import { describe, expect, test } from "bun:test";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { formatAddress, parseIpv4, parseIpv6 } from "../../src/vocabulary/ip-address.ts";

const runs = { numRuns: 2_000 };

test("an address of each family has its bytes", () => {
  expect(parseIpv4("192.0.2.1")).toEqual([192, 0, 2, 1]);
  expect(parseIpv6("2001:db8::1")).toEqual([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  expect(parseIpv6("::ffff:192.0.2.1")?.slice(10)).toEqual([0xff, 0xff, 192, 0, 2, 1]);
  expect(parseIpv6("::")).toEqual(new Array(16).fill(0));
});

test("every address of a host is one", () => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => parseIpv4(text)?.join(".") === text),
    runs,
  );
  fc.assert(
    fc.property(fc.ipV6(), (text) => parseIpv6(text)?.length === 16),
    runs,
  );
});

test("a text of the same characters is an address exactly if Node.js calls it one", () => {
  const pieces = fc.constantFrom(
    "0",
    "1",
    "10",
    "01",
    "255",
    "256",
    "f",
    "abcd",
    "12345",
    ":",
    "::",
    ".",
    "g",
    "",
  );
  const texts = fc.array(pieces, { maxLength: 18 }).map((parts) => parts.join(""));
  const isAsNode = (text: string): boolean =>
    (parseIpv4(text) !== undefined) === isIPv4(text) && (parseIpv6(text) !== undefined) === isIPv6(text);
  fc.assert(fc.property(texts, isAsNode), { numRuns: 20_000 });
  const groups = fc.array(fc.constantFrom("0", "db8", "ffff", "1.2.3.4", "", "1.2.3"), { maxLength: 10 });
  fc.assert(
    fc.property(groups, (parts) => isAsNode(parts.join(":"))),
    { numRuns: 20_000 },
  );
});

describe("the text of an address", () => {
  test("is read back as the same address", () => {
    const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
    // Many zeros, as addresses have them.
    const byte = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }));
    const ipv6 = fc.array(byte, { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(ipv4, ipv6, (short, long) => {
        expect(parseIpv4(formatAddress(short))).toEqual([...short]);
        expect(parseIpv6(formatAddress(long))).toEqual(long);
      }),
    );
  });

  // The examples of RFC 5952, section 4.
  const cases = {
    "2001:0db8::0001": "2001:db8::1",
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:0:0:0:0:0:0": "::",
    "::1": "::1",
    "fe80::": "fe80::",
    "2001:DB8::AAAA": "2001:db8::aaaa",
  } as const;
  for (const [text, canonical] of Object.entries(cases))
    test(`${text} is ${canonical}`, () => expect(formatAddress(parseIpv6(text) ?? [])).toBe(canonical));
});
