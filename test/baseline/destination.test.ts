// Destinations of a tree, as a baseline learns and knows them.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Destination,
  destinationOf,
  destinationText,
  foldDestinations,
  LearnedDestinations,
  parseDestination,
  serviceOf,
  textsHolding,
} from "../../src/baseline/destination.ts";

const to = (address: string, port = 443): Destination => {
  const destination = destinationOf("tcp", address, port);
  if (destination === undefined) throw new Error(address);
  return destination;
};
const folded = (...destinations: readonly Destination[]) =>
  foldDestinations(destinations).map(destinationText).toSorted();

test("a port is its service, and ephemeral ports are none of their own", () => {
  expect([443, 5432, 8443, 32_767, 32_768, 60_000].map(serviceOf)).toEqual([
    "https",
    "postgresql",
    "8443",
    "32767",
    "ephemeral",
    "ephemeral",
  ]);
});

describe("addresses are folded to networks", () => {
  const in24 = (count: number, net = "198.51.100") =>
    Array.from({ length: count }, (_, i) => to(`${net}.${i + 1}`));

  test("once there are four in one /24", () => {
    expect(folded(...in24(3)).length).toBe(3);
    expect(folded(...in24(4))).toEqual(["outbound:tcp:198.51.100.0/24:https"]);
  });

  test("then four /24 to a /16, and eight /16 to all", () => {
    const nets = [1, 2, 3, 4].map((third) => to(`198.51.${third}.7`));
    expect(folded(...nets)).toEqual(["outbound:tcp:198.51.0.0/16:https"]);
    const wide = Array.from({ length: 8 }, (_, i) => to(`${20 + i}.1.1.1`));
    expect(folded(...wide)).toEqual(["outbound:tcp:0.0.0.0/0:https"]);
  });

  test("of IPv6 to /64 and /48", () => {
    const hosts = [1, 2, 3, 4].map((host) => to(`2001:db8:1:1::${host}`));
    expect(folded(...hosts)).toEqual(["outbound:tcp:2001:db8:1:1::/64:https"]);
    const nets = [1, 2, 3, 4].map((net) => to(`2001:db8:1:${net}::1`));
    expect(folded(...nets)).toEqual(["outbound:tcp:2001:db8:1::/48:https"]);
  });

  test("for each service alone; more than 32 services become any", () => {
    expect(folded(...in24(3), to("198.51.100.9", 22)).length).toBe(4);
    const scan = Array.from({ length: 33 }, (_, i) => to("192.0.2.1", 1_000 + i));
    expect(folded(...scan)).toEqual(["outbound:tcp:192.0.2.1/32:any"]);
  });
});

const address = fc.oneof(
  fc.tuple(fc.constantFrom(10, 20, 30), fc.nat(9), fc.nat(9), fc.nat(9)).map((all) => all.join(".")),
  fc.tuple(fc.nat(5), fc.nat(5), fc.nat(5)).map(([a, b, c]) => `2001:db8:${a}:${b}::${c}`),
);
const destination = fc.tuple(address, fc.constantFrom(22, 443, 8443, 50_000)).map(([a, port]) => to(a, port));
const destinations = fc.array(destination, { maxLength: 60, size: "max" });

test("what is folded holds everything that it was made of, and folding again changes nothing", () => {
  fc.assert(
    fc.property(destinations, (all) => {
      const once = foldDestinations(all);
      const texts = new Set(once.map(destinationText));
      for (const each of all) expect(textsHolding(each).some((text) => texts.has(text))).toBeTrue();
      expect(foldDestinations(once).map(destinationText).toSorted()).toEqual([...texts].toSorted());
    }),
    { numRuns: 50 },
  );
});

test("learned one after the other they become what they become at once", () => {
  fc.assert(
    fc.property(destinations, (all) => {
      const learned = new LearnedDestinations();
      const texts = new Set(all.map((each) => learned.add(each)));
      const last = new Set(all.map((each) => learned.add(each)));
      for (const text of last) expect(parseDestination(text)).toBeDefined();
      expect(last.size).toBeLessThanOrEqual(texts.size + 1);
      expect([...last].toSorted()).toEqual(folded(...all));
    }),
    { numRuns: 30 },
  );
});

test("a tree that connects to more than 32 services has one for all of them", () => {
  const learned = new LearnedDestinations();
  for (let port = 1_000; port < 1_032; port += 1) learned.add(to("192.0.2.1", port));
  expect(learned.add(to("192.0.2.1", 1_032))).toBe("outbound:tcp:192.0.2.1/32:any");
  expect(learned.add(to("192.0.2.1", 2_000))).toBe("outbound:tcp:192.0.2.1/32:any");
  expect(learned.add(to("192.0.2.2", 3_000))).toBe("outbound:tcp:192.0.2.2/32:any");
});

test("a text is a destination only in its one notation, with a prefix that is looked up", () => {
  for (const text of [
    "outbound:tcp:198.51.100.0/24:https",
    "outbound:udp:2001:db8::/48:domain",
    "outbound:tcp:0.0.0.0/0:any",
    "outbound:tcp:192.0.2.1/32:8443",
  ])
    expect(parseDestination(text)).toBeDefined();
  for (const text of [
    "outbound:tcp:198.51.100.7/24:https",
    "outbound:tcp:198.51.96.0/20:https",
    "outbound:tcp:198.51.100.0/24:443",
    "outbound:tcp:198.51.100.0/24:40000",
    "outbound:sctp:198.51.100.0/24:https",
    "outbound:tcp:198.51.100.0/24:nonsense",
    "outbound:tcp:2001:DB8::/48:domain",
  ])
    expect(parseDestination(text)).toBeUndefined();
  fc.assert(
    fc.property(destination, (each) => {
      for (const text of textsHolding(each)) expect(parseDestination(text)).toBeDefined();
    }),
  );
});
