// One name, one meaning: whoever searches for an exported name finds one definition.
import { expect, test } from "bun:test";
import { sourceFiles } from "./sources.ts";

interface Exported {
  readonly name: string;
  readonly path: string;
}

const declaration =
  /^export (?:declare )?(?:async )?(?:abstract )?(?:function\*?|class|const|let|type|interface) +([\w$]+)/gm;

const exported: readonly Exported[] = sourceFiles("src").flatMap(({ path, text }) =>
  [...new Set([...text.matchAll(declaration)].map(([, name]) => name ?? ""))].map((name) => ({ name, path })),
);

test("no name is exported by two files", () => {
  const byName = Map.groupBy(exported, ({ name }) => name);
  const twice = [...byName].filter(([, files]) => files.length > 1);
  expect(twice.map(([name, files]) => `${name}: ${files.map(({ path }) => path).join(", ")}`)).toEqual([]);
});

test("nothing is kept that only tests use", () => {
  const uses = new Map<string, number>();
  for (const { text } of [...sourceFiles("src"), ...sourceFiles("build")])
    for (const [word] of text.matchAll(/[\w$]+/g)) uses.set(word, (uses.get(word) ?? 0) + 1);
  // Its definition is one of them.
  const dead = exported.filter(({ name }) => (uses.get(name) ?? 0) < 2);
  expect(dead.map(({ name, path }) => `${path}: ${name}`)).toEqual([]);
});
