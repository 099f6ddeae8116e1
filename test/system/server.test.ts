import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { intrusions } from "./intrusions/intrusions.ts";
import { Server } from "./server-fixture.ts";
import { missingServer } from "./server-packages.ts";
import { alarms, learn, robotPolicy, unknownTrees } from "./server-watch.ts";
import { type JsonRecord, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Until a verdict on something that does not run any more has surely been told. */
const SETTLED_MS = 400;

describe.skipIf(reason !== undefined)("a small server whose life was learned", () => {
  let server: Server;
  let running: Running;

  /** The trees that were alarms by this rule, up to now. */
  function treesBy(rule: string): ReadonlySet<string> {
    const records = alarms(running).filter((record) => rulesOf(record).includes(rule));
    return new Set(records.map((record) => String(record["tree.exact"])));
  }

  beforeAll(async () => {
    server = new Server();
    running = await Running.start(["--policy", robotPolicy(server)]);
    await learn(running, async () => {
      await server.start();
      await server.live();
      await server.restart();
      await server.live();
    });
  }, 60_000);

  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  }, 30_000);

  test("lives on without an alarm, and without a tree that is new", async () => {
    const since = Date.now();
    await server.live();
    await server.restart();
    await server.live();
    await Bun.sleep(2_500);
    expect(alarms(running, since)).toEqual([]);
    expect(unknownTrees(running)).toEqual([]);
  }, 30_000);

  for (const { name, act, rules } of intrusions.filter(({ unknown }) => unknown)) {
    test(`tells an intruder by ${name}`, async () => {
      const since = Date.now();
      await act(server);
      const matched = (): string[] => alarms(running, since).flatMap(rulesOf);
      await until("an alert on a tree that is not known", () => matched().includes("unknown-tree"));
      await until(`rules ${rules}`, () => rules.every((rule) => matched().includes(rule)));
    }, 30_000);
  }

  for (const { name, act, rules } of intrusions.filter((one) => !one.unknown && one.rules.length > 0)) {
    test(`tells an intruder by ${name}, although the tree is known`, async () => {
      const since = Date.now();
      await act(server);
      const matched = (): string[] => alarms(running, since).flatMap(rulesOf);
      await until(`rules ${rules}`, () => rules.every((rule) => matched().includes(rule)));
      await Bun.sleep(SETTLED_MS);
      const unknown = alarms(running, since).filter((record) => rulesOf(record).includes("unknown-tree"));
      expect(unknown.map((record) => record["tree.exact"])).toEqual([]);
    }, 30_000);
  }

  for (const { name, act } of intrusions.filter((one) => !one.unknown && one.rules.length === 0)) {
    test(`cannot tell an intruder by ${name}`, async () => {
      const since = Date.now();
      await act(server);
      await Bun.sleep(SETTLED_MS);
      expect(alarms(running, since)).toEqual([]);
    }, 15_000);
  }

  test("shows each tree of the intruders in compare, once", async () => {
    await Bun.sleep(2_500);
    const unknown = unknownTrees(running).map((record) => ({
      tree: String(record["tree.exact"]),
      path: String(record["process.runnable.path"]),
    }));
    const keys = unknown.map(({ tree, path }) => `${tree} ${path}`);
    expect(new Set(keys).size).toBe(keys.length);
    // Known trees with another content are proposed too.
    const edited = treesBy("changed-runnable");
    const trees = new Set(unknown.map(({ tree }) => tree).filter((tree) => !edited.has(tree)));
    expect([...trees].sort()).toEqual([...treesBy("unknown-tree")].sort());
  });
});

function rulesOf(record: JsonRecord): readonly string[] {
  const rules = record["policy.matched_rules"];
  return Array.isArray(rules) ? rules.map(String) : [];
}
