import { describe, expect, test } from "bun:test";
import { baseOf } from "../../src/examiner/base.ts";
import { openPackages } from "../../src/examiner/open.ts";
import { embeddedBase } from "../../src/fingerprint/base.ts";
import { debian } from "./root.ts";

const nothing = { packages: [], paths: [] };

describe("the base system", () => {
  test("is exactly what the database marks", () => {
    using root = debian();
    const { files } = baseOf(openPackages(root.path), nothing);
    expect([...files.keys()]).toEqual(["/usr/bin/ls", "/usr/bin/cat.distrib"]);
  });

  test("is the embedded list without a database", () => {
    expect(baseOf(undefined, nothing)).toEqual(embeddedBase);
  });

  test("includes what the configuration adds", () => {
    using root = debian();
    const { files } = baseOf(openPackages(root.path), {
      packages: ["site-tool"],
      paths: ["/opt/site/bin/tool"],
    });
    expect(files.get("/usr/bin/cat")).toBe("site-tool, configured");
    expect(files.get("/opt/site/bin/tool")).toBe("configured");
  });
});
