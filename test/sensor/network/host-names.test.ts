// Names of addresses are read as hosts(5) describes them.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { addingHostNames } from "../../../src/sensor/network/host-names.ts";
import { formatAddress, parseIpv4, parseIpv6 } from "../../../src/vocabulary/ip-address.ts";
import { allSteps } from "../../../src/vocabulary/steps.ts";

function names(...files: readonly string[]): Record<string, string> {
  const found = new Map<string, string>();
  for (const text of files) allSteps(addingHostNames(found, text));
  return Object.fromEntries(found);
}

test("an address has the first name of its line, whatever follows", () => {
  expect(names("127.0.0.1\tlocalhost\n10.0.0.1  db.example.org db  # the database\n#10.0.0.2 off\n")).toEqual(
    {
      "127.0.0.1": "localhost",
      "10.0.0.1": "db.example.org",
    },
  );
});

test("in whatever notation the address is written", () => {
  expect(names("2001:DB8:0:0::1 six\n::ffff:192.0.2.1 mapped\n")).toEqual({
    "2001:db8::1": "six",
    "192.0.2.1": "mapped",
  });
});

test("the last file and the last line that has an address names it", () => {
  expect(names("10.0.0.1 a\n10.0.0.1 b\n10.0.0.2 c\n", "10.0.0.2 d\n")).toEqual({
    "10.0.0.1": "b",
    "10.0.0.2": "d",
  });
});

test("a line without a name, with a name of more than 253 characters or without an address is left out", () => {
  expect(names(`10.0.0.1\n10.0.0.2 ${"a".repeat(254)}\nhost 10.0.0.3\n10.0.0.256 x\n10.0.0.4#x\n`)).toEqual(
    {},
  );
});

test("any text gives names of addresses in their one notation", () => {
  const text = fc.string({ unit: fc.constantFrom(..."01:.f# \t\na"), maxLength: 300 });
  fc.assert(
    fc.property(text, (content) => {
      for (const [address, name] of Object.entries(names(content))) {
        expect(formatAddress(parseIpv4(address) ?? parseIpv6(address) ?? [])).toBe(address);
        expect(name).toMatch(/^[^\s#]+$/);
      }
    }),
  );
});
