// From a connection to what a baseline knows of it: learned as an entry of its tree, accepted folded, looked up.
import { describe, expect, test } from "bun:test";
import { Baseline } from "../../src/baseline/baseline.ts";
import { formatBaseline, parseBaseline } from "../../src/baseline/baseline-file.ts";
import { type Destination, destinationOf } from "../../src/baseline/destination.ts";
import { type BaselineEntry, withFoldedDestinations } from "../../src/baseline/entry.ts";
import { entryOfTree } from "../../src/baseline/learned-entry.ts";
import { Learning } from "../../src/baseline/learning.ts";
import { startLearning } from "../../src/baseline/learning-state.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { lineage } from "./lineages.ts";
import { NOON, RUN } from "./samples.ts";

const shop = lineage("/usr/sbin/shopd");
const worker = lineage("/usr/sbin/shopd", "/usr/sbin/workerd");
const facts = factsFromEvents(nothingKnown);
const SCOPE = "shop.service";

const to = (address: string, port = 443): Destination => {
  const destination = destinationOf("tcp", address, port);
  if (destination === undefined) throw new Error(address);
  return destination;
};

/** What a learning run proposes after these connections. */
function learned(...connections: readonly (readonly [Lineage, Destination])[]): readonly BaselineEntry[] {
  const learning = new Learning({ state: startLearning(NOON, null, RUN), redact: (args) => args });
  const entries: BaselineEntry[] = [];
  learning.observe(shop, SCOPE, ["shopd"], NOON, facts);
  for (const [of, destination] of connections)
    learning.observeDestination(of, SCOPE, NOON + 1, facts, destination);
  learning.report((update) => {
    if (update.kind !== "tree") return true;
    const entry = entryOfTree(update.tree);
    if (typeof entry === "string") throw new Error(entry);
    entries.push(entry);
    return true;
  });
  return withFoldedDestinations(entries);
}

function inForce(entries: readonly BaselineEntry[]): Baseline {
  const header = { role: undefined, hosts: [], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  const parsed = parseBaseline(Buffer.from(formatBaseline({ header, entries })));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  const baseline = new Baseline();
  for (const entry of parsed.value.entries) baseline.add(entry);
  return baseline;
}

describe("what was learned and accepted", () => {
  const nets = [1, 2, 3, 4].map((host) => [shop, to(`198.51.100.${host}`)] as const);
  const entries = learned(...nets, [shop, to("192.0.2.1", 5432)]);

  test("is an entry of the tree for each destination, folded", () => {
    expect(entries.map(({ path }) => path)).toEqual([
      "/usr/sbin/shopd",
      "outbound:tcp:192.0.2.1/32:postgresql",
      "outbound:tcp:198.51.100.0/24:https",
    ]);
    expect(entries.map(({ exact }) => exact)).toEqual(["/shopd", "/shopd", "/shopd"]);
    expect(entries.at(-1)?.count).toBe(4);
  });

  test("is known of that tree in that scope alone", () => {
    const baseline = inForce(entries);
    const knows = (of: Lineage, scope: string | undefined, destination: Destination) =>
      baseline.knowsDestination(of, scope, destination);
    expect(knows(shop, SCOPE, to("198.51.100.77"))).toBeTrue();
    expect(knows(shop, SCOPE, to("198.51.100.77", 22))).toBeFalse();
    expect(knows(shop, SCOPE, to("198.51.101.1"))).toBeFalse();
    expect(knows(worker, SCOPE, to("198.51.100.77"))).toBeFalse();
    expect(knows(shop, "other.service", to("198.51.100.77"))).toBeFalse();
    expect(knows(shop, undefined, to("198.51.100.77"))).toBeUndefined();
  });

  test("leaves what is known of the tree itself as it is", () => {
    const baseline = inForce(entries);
    expect(baseline.knowledge(shop, SCOPE, NOON).known).toBeTrue();
    expect(baseline.knowledge(worker, SCOPE, NOON).known).toBeFalse();
    expect(baseline.isFamiliar(treeOf(shop))).toBeTrue();
    for (const entry of entries) expect(baseline.knows(entry)).toBeTrue();
  });

  test("holds a single address that is compared later", () => {
    const [, later] = learned([shop, to("198.51.100.200")]);
    if (later === undefined) throw new Error("it was learned");
    expect(inForce(entries).knows(later)).toBeTrue();
    expect(inForce(learned()).knows(later)).toBeFalse();
  });
});

test("where no destinations were ever accepted, none is known or unknown", () => {
  expect(inForce(learned()).knowsDestination(shop, SCOPE, to("192.0.2.1"))).toBeNull();
});

test("a line with a destination that is none is refused", () => {
  const [, entry] = learned([shop, to("192.0.2.1")]);
  if (entry === undefined) throw new Error("it was learned");
  expect(() => inForce([{ ...entry, path: "outbound:tcp:192.0.2.0/20:https" }])).toThrow(
    "the destination must be",
  );
});
