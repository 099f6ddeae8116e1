import { describe, expect, test } from "bun:test";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import { judge, load } from "./helpers.ts";

describe("a policy with its inheritance resolved, loaded as a file of its own", () => {
  for (const role of embeddedPolicies.keys())
    test(`is ${role} again`, () => {
      const sources = { read: () => undefined, embedded: embeddedPolicies, searchPath: [] };
      const { policy } = loadPolicies([role], sources);
      const again = load({ "/p/role.json": policy?.resolved }).policy;
      expect(again?.digest).toBe(policy?.digest ?? "");
    });

  test("decides by default in the name of the role that has the default", () => {
    const files = {
      "/p/role.json": { role: "child", extends: ["parent"] },
      "/p/parent.json": { role: "parent", default: "alert" },
    };
    const { policy } = load(files);
    const again = load({ "/p/role.json": policy?.resolved }).policy;
    if (policy === undefined || again === undefined) throw new Error("not loaded");
    expect(again.digest).toBe(policy.digest);
    expect(judge(policy, ["/usr/bin/ls"]).ruleset).toBe("parent");
    expect(judge(again, ["/usr/bin/ls"]).ruleset).toBe("parent");
  });
});
