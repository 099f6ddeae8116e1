// Lists of networks in files of their own.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readingListFile } from "../../src/policy/list-file.ts";
import { filesOf, loadPolicies } from "../../src/policy/load.ts";
import { NetworkSet } from "../../src/policy/network-set.ts";
import { isInNetwork, type Network } from "../../src/vocabulary/ip-network.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { judgeEvent } from "./helpers.ts";

const read = (content: Uint8Array) => allSteps(readingListFile(content));
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("a file of networks", () => {
  test("has one on each line, with comments, each once", () => {
    const text =
      "# feed of today\r\n192.0.2.0/24\r\n2001:db8::/32 ; SBL1\n\n  10.0.0.1 # one host\n192.0.2.0/24";
    expect(read(bytes(text))).toEqual({
      ok: true,
      items: ["192.0.2.0/24", "2001:db8::/32", "10.0.0.1"],
    });
  });

  test("with anything else is refused with its lines", () => {
    const result = read(bytes("10.0.0.0/8\nexample.org\n10.0.0.0/33\n"));
    expect(result.ok ? [] : result.errors).toEqual([
      { line: 2, message: 'must be a network such as 10.0.0.0/8, not "example.org"' },
      { line: 3, message: 'must be a network such as 10.0.0.0/8, not "10.0.0.0/33"' },
    ]);
  });

  test("of arbitrary bytes is read or refused, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
        const result = read(content);
        return result.ok || result.errors.length > 0;
      }),
    );
  });
});

describe("a list of a role", () => {
  const rule = {
    id: "bad-peer",
    on: ["connect"],
    when: { cidr: [{ var: "network.peer.address" }, { list: "feed" }] },
    action: "alert",
  };
  const role = JSON.stringify({ role: "shop", lists: { feed: { file: "feed.txt" } }, rules: [rule] });
  const load = (files: Readonly<Record<string, string>>) =>
    loadPolicies(["/p/shop.json"], {
      read: (path) => (files[path] === undefined ? undefined : bytes(files[path])),
      embedded: new Map(),
      searchPath: [],
    });
  const connectTo = (address: string) =>
    ({ "event.name": "network.connect", "network.peer.address": address, "network.peer.port": 443 }) as const;

  test("may be a file beside it", () => {
    const {
      policy,
      role: loaded,
      errors,
    } = load({
      "/p/shop.json": role,
      "/p/feed.txt": "198.51.100.0/24\n2001:db8::/32\n",
    });
    if (policy === undefined) throw new Error(JSON.stringify(errors));
    const action = (address: string) => judgeEvent(policy, ["/usr/sbin/nginx"], connectTo(address)).action;
    expect(["198.51.100.7", "203.0.113.7", "2001:db8::1"].map(action)).toEqual(["alert", "allow", "alert"]);
    expect(filesOf(loaded).map(({ kind }) => kind)).toEqual(["policy", "list"]);
  });

  test("that is missing, or has errors, is an error of the policy with its place", () => {
    const errors = (files: Readonly<Record<string, string>>) =>
      load({ "/p/shop.json": role, ...files }).errors?.map(
        ({ file, line, message }) => `${file}:${line} ${message}`,
      );
    expect(errors({})).toEqual(["/p/shop.json:1 there is no /p/feed.txt"]);
    expect(errors({ "/p/feed.txt": "10.0.0.0/8\n10.0.0.0/33\n" })).toEqual([
      '/p/feed.txt:2 must be a network such as 10.0.0.0/8, not "10.0.0.0/33"',
    ]);
  });

  test("changes the policy's version with its content", () => {
    const version = (feed: string) => load({ "/p/shop.json": role, "/p/feed.txt": feed }).policy?.version;
    expect(version("10.0.0.0/8\n")).not.toBe(version("10.0.0.0/9\n"));
  });
});

test("a set of networks holds what one of them holds, whether they are few or many", () => {
  const byte = fc.constantFrom(0, 1, 127, 128, 255);
  const address = fc.array(byte, { minLength: 4, maxLength: 4 });
  const network: fc.Arbitrary<Network> = fc.record({ address, prefix: fc.integer({ min: 0, max: 32 }) });
  fc.assert(
    fc.property(fc.array(network, { maxLength: 40, size: "max" }), address, (networks, candidate) => {
      const expected = networks.some((each) => isInNetwork(each, candidate));
      expect(new NetworkSet(networks).has(candidate)).toBe(expected);
    }),
    { numRuns: 1_000 },
  );
});
