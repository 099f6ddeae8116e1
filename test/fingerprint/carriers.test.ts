import { expect, test } from "bun:test";
import fc from "fast-check";
import { carrierNames } from "../../src/fingerprint/carriers.ts";
import { readsCommandLine } from "../../src/fingerprint/program-kinds.ts";

const { exact, prefixes } = carrierNames();
const isCarrier = (name: string): boolean =>
  exact.includes(name) || prefixes.some((prefix) => name.startsWith(prefix));

test("every program that reads its command line for what to run is a carrier, in each version", () => {
  const suffix = fc.oneof(
    fc.constant(""),
    fc.stringMatching(/^[-_]?[0-9][0-9.]{0,4}[a-z]?(-dbg)?$/),
    fc.stringMatching(/^[\w.-]{0,6}(\.so)?(\.[0-9])?$/),
  );
  fc.assert(
    fc.property(fc.constantFrom(...exact, "ld", "ld-linux", "ld-musl"), suffix, (stem, end) => {
      const name = `${stem}${end}`;
      expect(!readsCommandLine(`/usr/bin/${name}`) || isCarrier(name)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test("an ordinary program is none", () => {
  for (const name of ["wget", "nginx", "shutdown", "perlfoo", "gcc", "cp", "pythonic"])
    expect([name, isCarrier(name)]).toEqual([name, false]);
});
