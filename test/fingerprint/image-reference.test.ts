import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { imageName, isImageReference } from "../../src/fingerprint/image-reference.ts";

const part = fc.stringMatching(/^[a-z0-9]+(?:[._-][a-z0-9]+){0,2}$/);
const host = fc.oneof(
  fc.constantFrom("docker.io", "index.docker.io", "localhost", "quay.io", "registry:5000", "10.0.0.1:5000"),
  part.map((name) => `${name}.example`),
);
const path = fc.oneof(
  part,
  fc.tuple(fc.oneof(fc.constant("library"), part), part).map((parts) => parts.join("/")),
);
const named = fc
  .tuple(fc.option(host, { nil: undefined }), path)
  .map(([registry, name]) => (registry === undefined ? name : `${registry}/${name}`));
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);

describe("an image's name", () => {
  test("is the same with and without tag and digest", () => {
    fc.assert(
      fc.property(named, tag, digest, (name, version, content) => {
        const plain = imageName(name);
        for (const reference of [`${name}:${version}`, `${name}@${content}`, `${name}:${version}@${content}`])
          expect(imageName(reference)).toBe(plain);
      }),
    );
  });

  test("is its own name", () => {
    fc.assert(fc.property(named, (name) => expect(imageName(imageName(name))).toBe(imageName(name))));
  });

  test("keeps every registry but docker's own, with its port: no two registries have one name", () => {
    fc.assert(
      fc.property(host, path, (registry, name) => {
        // Docker's own names have no dot before the slash: with one, it would be another registry's.
        if (/docker\.io$/.test(registry) && /^[^.]*\/|^[^/]*$/.test(name))
          expect(imageName(`${registry}/${name}`)).not.toContain("docker.io/");
        else expect(imageName(`${registry}/${name}:1`)).toBe(`${registry}/${name}`);
      }),
    );
    expect(imageName("docker.io/localhost/x")).toBe("docker.io/localhost/x");
    expect(imageName("docker.io/quay.io/x")).toBe("docker.io/quay.io/x");
  });

  test("of docker's own registry is as docker has it, whichever runtime tells", () => {
    expect(["nginx", "docker.io/library/nginx:1", "index.docker.io/library/nginx"].map(imageName)).toEqual(
      Array(3).fill("nginx"),
    );
    expect(imageName("docker.io/grafana/grafana:11")).toBe("grafana/grafana");
  });

  test("no text makes it throw, and what is a reference has one", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), named), (text) => {
        const name = imageName(text);
        if (isImageReference(text)) expect(name).not.toBe("");
      }),
    );
  });
});
