// The operators that treewarden adds to JSONLogic's.
import { describe, expect, test } from "bun:test";
import { BlockList } from "node:net";
import fc from "fast-check";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { Lineages } from "../../src/forest/lineage.ts";
import { addedOperators } from "../../src/policy/added-operators.ts";
import { hasAddressIn, networksOf } from "../../src/policy/cidr.ts";
import { compileGlob, compileTreeGlob } from "../../src/policy/glob.ts";
import { operators } from "../../src/policy/operators.ts";
import { decide } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { parseNetwork } from "../../src/vocabulary/ip-network.ts";
import { expectLinear } from "../cost.ts";
import { judge, matches, policyOf } from "./helpers.ts";

describe("glob", () => {
  const table: readonly [pattern: string, text: string, fits: boolean][] = [
    ["/usr/bin/*", "/usr/bin/sh", true],
    ["/usr/bin/*", "/usr/bin/x/sh", false],
    ["/usr/bin/*", "/usr/bin/", true],
    ["/tmp/**", "/tmp/a/b/c", true],
    ["/tmp/**", "/tmp", false],
    ["**/sh", "/usr/bin/sh", true],
    ["/usr/**/sh", "/usr/sh", true],
    ["/usr/**/sh", "/usr/a/b/sh", true],
    ["/usr/**/sh", "/usr/a/bsh", false],
    ["/a/**/b/**/c", "/a/b/c", true],
    ["/a/**/**/b", "/a/b", true],
    ["/usr/bin/[", "/usr/bin/[", true],
    ["/usr/bin/?", "/usr/bin/a", false],
    ["/usr/{bin,sbin}/{a,b}*", "/usr/sbin/bx", true],
    ["/usr/{bin,sbin}/{a,b}*", "/usr/lib/bx", false],
    ["*.sh", "a.sh", true],
    ["*.sh", "a/b.sh", false],
    ["*a*b*", "xaxxbx", true],
    ["*a*b*", "xbxax", false],
    [`/${"x".repeat(70)}*y`, `/${"x".repeat(70)}..y`, true],
    ["", "", true],
  ];
  for (const [pattern, text, fits] of table) {
    test(`${pattern} ${fits ? "fits" : "does not fit"} ${text}`, () => {
      expect(compileGlob(pattern)(text)).toBe(fits);
    });
  }

  test("it agrees with the same pattern as a regular expression", () => {
    const pattern = fc
      .array(fc.constantFrom("a", "b", "/", "*", "**", "/**/"), { maxLength: 7 })
      .map((parts) => parts.join("").replace(/\*{3,}/g, "**"));
    const text = fc.array(fc.constantFrom("a", "b", "/"), { maxLength: 9 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(pattern, text, (glob, value) => {
        const source = glob
          .replace(/(\/\*\*)+\//g, "\u0001")
          .replaceAll("**", "\u0002")
          .replaceAll("*", "[^/]*")
          .replaceAll("\u0001", "/(?:.*/)?")
          .replaceAll("\u0002", ".*");
        expect(compileGlob(glob)(value)).toBe(new RegExp(`^${source}$`, "s").test(value));
      }),
      { numRuns: 5_000 },
    );
  });

  test("a hostile text costs no more than its length", () => {
    const glob = compileGlob("**a*a*a*a*a*a*b");
    expectLinear((size) => expect(glob("a".repeat(size))).toBe(false), 200_000);
  });
});

describe("tree", () => {
  const table: readonly [pattern: string, tree: string, fits: boolean][] = [
    ["/**/nginx/*", "/nginx/base", true],
    ["/**/nginx/*", "/sshd/nginx/base", true],
    ["/**/nginx/*", "/nginx/base/curl", false],
    ["/nginx/**", "/nginx", true],
    ["/nginx/**", "/nginx/a/b", true],
    ["/**/ba*/curl", "/cron/base/curl", true],
    ["/**/{nginx,apache2}/{base,sh}", "/apache2/sh", true],
    ["/{a/b,c}/d", "/a/b/d", true],
    ["/{a/b,c}/d", "/c/d", true],
    ["/**/a/**/b", "/a/x/a/y/b", true],
    ["/cron", "/cron/base", false],
    ["/**", "/anything/at/all", true],
  ];
  for (const [pattern, tree, fits] of table) {
    test(`${pattern} ${fits ? "fits" : "does not fit"} ${tree}`, () => {
      expect(compileTreeGlob(pattern)(tree.slice(1).split("/"))).toBe(fits);
    });
  }

  test("it is true for the tree or the exact tree", () => {
    const lineage = ["/usr/sbin/nginx", "/usr/bin/dash"];
    expect(matches({ tree: "/nginx/base" }, lineage)).toBe(true);
    expect(matches({ tree: ["/x", "/nginx/dash"] }, lineage)).toBe(true);
    expect(matches({ tree: "/nginx/sh" }, lineage)).toBe(false);
  });
});

describe("under", () => {
  const lineage = [
    "/usr/sbin/cron",
    {
      "process.executable.path": "/usr/bin/python3.11",
      "process.command_args": ["python3", "/srv/jobs/run.py"],
    },
    "/usr/bin/dash",
  ];

  test("an ancestor counts at any distance, by label, executable, script or path", () => {
    for (const name of ["cron", "run.py", "python3.11", "/srv/**/*.py", "/usr/sbin/*"])
      expect(matches({ under: [name] }, lineage)).toBe(true);
  });

  test("the process itself does not", () => {
    for (const name of ["dash", "base", "/usr/bin/*"]) expect(matches({ under: name }, lineage)).toBe(false);
  });

  test("a path is what is really run: the script, not its interpreter", () => {
    expect(matches({ under: ["/usr/bin/python3*"] }, lineage)).toBe(false);
  });

  test("a child that runs what its parent runs is under it", () => {
    expect(matches({ under: ["bash"] }, ["/usr/bin/bash", "/usr/bin/bash"])).toBe(true);
    expect(matches({ under: ["bash"] }, ["/usr/bin/bash"])).toBe(false);
  });

  test("process 1 of the host counts by its executable only", () => {
    const below = [
      { "process.executable.path": "/usr/lib/systemd/systemd", "process.pid": 1 },
      "/usr/bin/id",
    ];
    expect(matches({ under: ["systemd"] }, below)).toBe(true);
    expect(matches({ under: ["/usr/lib/**"] }, below)).toBe(false);
  });
});

describe("under, after a further exec", () => {
  const image = (path: string) => testSubject({ lineage: [path] }).runnable;
  const policy = policyOf([{ id: "it", when: { under: ["nginx"] }, action: "alert" }]);

  function decided(spec: { ancestorWas?: string; itselfWas?: string; elided?: string }): readonly string[] {
    const lineages = new Lineages();
    const plain = { uid: 0, container: null, complete: true, init: false };
    const earlier = (was: string | undefined) => (was === undefined ? [] : [image(was)]);
    const parent = lineages.intern(null, {
      ...plain,
      program: image("/usr/bin/env"),
      earlier: earlier(spec.ancestorWas),
      elided: null,
    });
    const elided = spec.elided === undefined ? null : [image(spec.elided)];
    const lineage = lineages.intern(parent, {
      ...plain,
      program: image("/usr/bin/dash"),
      earlier: earlier(spec.itselfWas),
      elided,
    });
    return decide(policy, { ...testSubject({ lineage: ["/usr/bin/dash"] }), lineage, tree: treeOf(lineage) })
      .matched;
  }

  test("what an ancestor was before counts", () =>
    expect(decided({ ancestorWas: "/usr/sbin/nginx" })).toEqual(["it"]));
  test("what the process itself was before counts", () =>
    expect(decided({ itselfWas: "/usr/sbin/nginx" })).toEqual(["it"]));
  test("what was left out of a long lineage counts", () =>
    expect(decided({ elided: "/usr/sbin/nginx" })).toEqual(["it"]));
  test("without any of it there is nothing to find", () => expect(decided({})).toEqual([]));
});

describe("text", () => {
  const lineage = [
    {
      "process.executable.path": "/usr/bin/curl",
      "process.command_args": ["curl", "-x", "http://10.1.2.3:80/a"],
      "process.user.id": 0,
    },
  ];
  const args = { var: "process.command_args" };

  test("any element of the left may fit any text of the right", () => {
    expect(matches({ contains: [args, ["zzz", "http:"]] }, lineage)).toBe(true);
    expect(matches({ starts_with: [args, "http:"] }, lineage)).toBe(true);
    expect(matches({ ends_with: [args, "/a"] }, lineage)).toBe(true);
    expect(matches({ ends_with: [args, "/b"] }, lineage)).toBe(false);
    expect(matches({ glob: [args, "http:/**"] }, lineage)).toBe(true);
    expect(matches({ matches: [{ var: "process.command_line" }, "^curl -x \\S+$"] }, lineage)).toBe(true);
    expect(matches({ cidr: [args, ["10.0.0.0/8"]] }, lineage)).toBe(true);
    expect(matches({ cidr: [args, ["192.168.0.0/16"]] }, lineage)).toBe(false);
  });

  test("lists stand on the right, alone or among texts", () => {
    const rules = [
      { id: "alone", when: { starts_with: [args, { list: "schemes" }] }, action: "alert" },
      { id: "among", when: { contains: [args, ["zzz", { list: "schemes" }]] }, action: "alert" },
      { id: "in", when: { in: [{ var: "process.executable.name" }, { list: "tools" }] }, action: "alert" },
    ];
    const policy = policyOf(rules, { lists: { schemes: ["http:", "https:"], tools: ["curl"] } });
    expect(judge(policy, lineage).matched).toEqual(["alone", "among", "in"]);
  });

  test("null never fits", () => {
    expect(matches({ contains: [{ var: "process.script.path" }, "a"] }, lineage)).toBe(false);
  });
});

describe("cidr", () => {
  function inside(text: string, ...networks: string[]): boolean {
    const parsed = networks
      .map((network) => parseNetwork(network))
      .filter((network) => network !== undefined);
    return hasAddressIn(text, networksOf(parsed));
  }

  test("addresses are found where they stand in a text", () => {
    expect(inside("http://10.1.2.3:8080/x", "10.0.0.0/8")).toBe(true);
    expect(inside("/dev/tcp/10.1.2.3/80", "10.1.2.3")).toBe(true);
    expect(inside("user@10.1.2.3.", "10.1.2.0/24")).toBe(true);
    expect(inside("http://[fd00::1]:80/", "fd00::/8")).toBe(true);
    expect(inside("::ffff:10.0.0.1", "10.0.0.0/8")).toBe(true);
    expect(inside("fe80::1%eth0", "fe80::/10")).toBe(true);
    expect(inside("at fd00::1: and more", "fd00::1")).toBe(true);
    expect(inside("host:fd00::1", "fd00::1")).toBe(true);
  });

  test("addresses are found behind an option's letter, which may be a hexadecimal digit", () => {
    for (const letter of "abcdefLABCDEFL") {
      expect(inside(`-${letter}10.0.0.1`, "10.0.0.0/8")).toBe(true);
      expect(inside(`ssh -${letter}10.0.0.1:1080 host`, "10.0.0.0/8")).toBe(true);
      expect(inside(`-N${letter}fe80::1`, "fe80::/10")).toBe(true);
      expect(inside(`-6${letter}fe80::1`, "fe80::/10")).toBe(true);
      expect(inside(`-${letter}::1`, "::1")).toBe(true);
    }
    // Without an option every letter belongs to the address.
    expect(inside("bfe8::1", "fe8::/16")).toBe(false);
    expect(inside("a-bfe8::1", "fe8::/16")).toBe(false);
  });

  test("what only looks like one is none", () => {
    expect(inside("1.2.3", "0.0.0.0/0")).toBe(false);
    expect(inside("010.1.2.3", "0.0.0.0/0")).toBe(false);
    expect(inside("256.1.1.1", "0.0.0.0/0")).toBe(false);
    expect(inside("1.2.3.4.5", "0.0.0.0/0")).toBe(false);
    expect(inside("1.2.3.1234", "0.0.0.0/0")).toBe(false);
    expect(inside("1.2.3.4", "::/0")).toBe(false);
    expect(inside(":::::", "::/0")).toBe(false);
  });

  test("a network is an address and its bits", () => {
    expect(parseNetwork("10.0.0.0/33")).toBeUndefined();
    expect(parseNetwork("10.0.0/8")).toBeUndefined();
    expect(parseNetwork("fd00::/129")).toBeUndefined();
    expect(parseNetwork("10.0.0.0/")).toBeUndefined();
  });

  test("what lies in a network is node's opinion, wherever the address stands and whatever letter is glued to it", () => {
    const before = fc.constantFrom("", "-a", "-D", "-f", "-4b", "--to=", "user@", "http://", "x ", "'", ",");
    const after = fc.constantFrom("", "/", " ", ":", ".", "'", "%eth0", ",", "]");
    const ipv4 = fc.tuple(fc.ipV4(), fc.ipV4(), fc.nat(32), fc.constant("ipv4" as const));
    const ipv6 = fc.tuple(fc.ipV6(), fc.ipV6(), fc.nat(128), fc.constant("ipv6" as const));
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), before, after, ([address, other, prefix, family], left, right) => {
        const list = new BlockList();
        list.addSubnet(other, prefix, family);
        // An option's hexadecimal letters leave more than one reading; that of the address must be among them.
        const isCertain = family === "ipv4" || !/^-/.test(left);
        const isInside = list.check(address, family);
        if (isInside || isCertain)
          expect(inside(`${left}${address}${right}`, `${other}/${prefix}`)).toBe(isInside);
      }),
      { numRuns: 1_000 },
    );
  });

  test("every address lies in its own networks of every length", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), (address, bits) => {
        const network = `${address}/${address.includes(":") ? bits : bits % 33}`;
        expect(inside(`http://${address.includes(":") ? `[${address}]` : address}/`, network)).toBe(true);
      }),
    );
  });
});

describe("every operator of JSONLogic that rules may use", () => {
  const names = Object.keys(operators);

  /** The arguments of the example, where it is whole. */
  function exampleArguments(name: string): unknown {
    try {
      return Object.values(JSON.parse(operators[name]?.example ?? ""))[0];
    } catch {
      return [true, true];
    }
  }

  test.each(names)("%s: it has a meaning", (name) => {
    let problem = "";
    try {
      matches({ "!!": [{ [name]: exampleArguments(name) }] }, ["/usr/bin/ls"]);
    } catch (error) {
      // Not every result is a condition: that is an Error at load. The engine throws an object that is none.
      problem = error instanceof Error ? "" : JSON.stringify(error);
    }
    expect(problem).toBe("");
  });

  test.each([...names, ...addedOperators])("%s: docs/policies.md names it", async (name) => {
    const page = await Bun.file(new URL("../../docs/policies.md", import.meta.url)).text();
    expect(page).toContain(`\`${name}\``);
  });
});
