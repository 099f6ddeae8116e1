// The text of IP addresses is read as inet_pton(3) reads it.
import { expect, test } from "bun:test";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { parseIpv4, parseIpv6 } from "../../src/vocabulary/ip-address.ts";

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
