// A compared path stands for the files whose own paths are compared as equal to it.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { comparedPath } from "../../src/baseline/compared-path.ts";
import { comparedChild, isListable, mayLeadTo } from "../../src/baseline/path-pattern.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { unambiguous } from "../../src/linux/text.ts";
import { unknownFacts } from "../../src/sensor/event.ts";

/** The compared path that is found by walking from the root down to the file. */
function walked(path: string): string {
  const names = path.slice(1).split("/");
  let within = "";
  let compared = "";
  for (const name of names.slice(0, -1)) {
    compared = comparedChild(name, within, compared).folder;
    within += `/${name}`;
  }
  return comparedChild(names.at(-1) ?? "", within, compared).file;
}

/** The path that the baseline compares of an exec of the file. */
function ofExec(path: string): string {
  return comparedPath(unambiguous(identify({ ...unknownFacts, executable: path }).folded ?? path));
}

describe("walking down to a file leads to the path that an exec of it is compared by", () => {
  test.each([
    ["/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/*/bin/postgres"],
    ["/bin/dash", "/usr/bin/dash"],
    ["/usr/bin/foo-1.2", "/usr/bin/foo"],
    ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "/usr/lib/jvm/java-openjdk-amd64/bin/java"],
    ["/opt/shop-2.1.0/bin/shop", "/opt/shop/bin/shop"],
    ["/srv/app/releases/4f3c2a1/bin/app", "/srv/app/releases/*/bin/app"],
    ["/home/v2/v3/tool", "/home/v2/*/tool"],
    ["/init", "/init"],
  ])("%s", (path, compared) => {
    expect([walked(path), ofExec(path)]).toEqual([compared, compared]);
  });

  const name = fc.oneof(
    fc.constantFrom(...["usr", "bin", "sbin", "lib", "home", "opt", "run", "user", "snap", "tmp", "app"]),
    fc.constantFrom("15", "v2.1", "app-1.2.3", "jdk1.8.0_392", "4f3c2a1", "python3.11", "xk2q9zvw8t"),
    fc.constantFrom("go-build1234", "foo.sh", "job-20240101.sh", "sshd-session", "a b", "ä"),
  );

  test("whatever its names are, also where some look random", () => {
    const paths = fc
      .array(name, { minLength: 1, maxLength: 6 })
      .map((names) => `/${names.join("/")}`)
      .filter((path) => isListable(ofExec(path)));
    fc.assert(
      fc.property(paths, (path) => {
        const pattern = ofExec(path);
        expect(mayLeadTo(path.slice(0, path.lastIndexOf("/")), pattern)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

test("what no folder shows is not listable", () => {
  const hidden = ["/srv/random/x", "/srv/random", "/a/.../b", "userns:/usr/bin/ls", "memfd:x", "/srv/\\xff"];
  expect(hidden.filter(isListable)).toEqual([]);
  expect(["/usr/bin/gzip", "/opt/*/bin/x", "/srv/randomly/x"].filter(isListable)).toHaveLength(3);
});
