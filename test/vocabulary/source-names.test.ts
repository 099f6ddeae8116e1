// Names of records in the sources are those of the tables: the type checker sees most misspelt ones, but not those in
// a spread object or in text.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { settingNames } from "../../src/config/config.ts";
import { captureFields, captureLines } from "../../src/sensor/capture/names.ts";
import { eventNames } from "../../src/vocabulary/event-names.ts";
import { variableNames, variables } from "../../src/vocabulary/variables.ts";

const source = join(import.meta.dir, "../../src");
const files = [...new Bun.Glob("**/*.ts").scanSync(source)].filter((file) => !file.startsWith("vocabulary/"));
const texts = new Map(files.map((file) => [file, readFileSync(join(source, file), "utf8")]));

const tableNames: ReadonlySet<string> = new Set([
  ...variableNames,
  ...Object.keys(eventNames),
  ...Object.keys(captureFields),
  ...Object.keys(captureLines),
]);
const prefixes: ReadonlySet<string> = new Set([...tableNames].map((name) => name.split(".")[0] ?? ""));

/** What looks like a name of a record and is none. */
const otherNames: ReadonlySet<string> = new Set([
  "host.arch", // an attribute of OTLP's resource
  "base.json", // files in the state directory
  "forest.json",
  ...settingNames,
]);

test("every dotted name in the sources that begins as a record's name does is in a table", () => {
  const strangers: string[] = [];
  for (const [file, text] of texts)
    for (const [, name = ""] of text.matchAll(/"([a-z_]+(?:\.[a-z0-9_]+)+)"/g))
      if (prefixes.has(name.split(".")[0] ?? "") && !tableNames.has(name) && !otherNames.has(name))
        strangers.push(`${file}: ${name}`);
  expect(strangers).toEqual([]);
});

test("every name that is only reported is written somewhere", () => {
  const all = [...texts.values()].join("\n");
  const unused = variableNames.filter(
    (name) => !variables[name].judged && name !== "timestamp" && !all.includes(`"${name}"`),
  );
  expect(unused).toEqual([]);
});
