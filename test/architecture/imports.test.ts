// Who may import whom (docs/architecture.md): data flows one way, and only src/linux/ speaks to the kernel.
import { describe, expect, test } from "bun:test";
import { importsOf, roomOf, sourceFiles } from "./sources.ts";

/** In the order of the data flow: each of these rooms may import those before it. */
const flow = ["sensor", "forest", "fingerprint", "baseline", "policy", "enforcement", "report"];

/** What every room may import. */
const everywhere = ["linux", "vocabulary"];

/** What the other rooms may import beside themselves and `everywhere`; cli/ may import all of them. */
const besideTheFlow: Readonly<Record<string, readonly string[]>> = {
  linux: [],
  vocabulary: [],
  config: [],
  warden: [...flow, "examiner"],
  reporter: ["baseline", "report"],
  examiner: ["sensor", "fingerprint", "baseline"],
  supervisor: [],
  hardening: [],
  offline: [...flow, "warden"],
};

/** Files of the examiner that other rooms may import: its client and the language that both speak. */
const examinersClient = /^src\/examiner\/(client|protocol)\.ts$/;

function allowedFor(room: string): readonly string[] {
  const position = flow.indexOf(room);
  return position < 0 ? (besideTheFlow[room] ?? []) : flow.slice(0, position);
}

const files = sourceFiles("src");
const rooms = [...new Set(files.map(({ path }) => roomOf(path)))].filter((room) => room !== undefined);

/** Every import of `room` from another room that it may not import. */
function forbiddenImports(room: string): readonly string[] {
  const allowed = new Set([
    room,
    ...(room === "linux" || room === "vocabulary" ? [] : everywhere),
    ...allowedFor(room),
  ]);
  const found: string[] = [];
  for (const file of files.filter(({ path }) => roomOf(path) === room)) {
    for (const { target, typesOnly } of importsOf(file)) {
      const other = roomOf(target);
      if (other === undefined || allowed.has(other)) {
        if (room !== "examiner" && other === "examiner" && !examinersClient.test(target))
          found.push(`${file.path} imports ${target}: of the examiner only its client`);
        continue;
      }
      if (other === "config" && typesOnly) continue;
      found.push(`${file.path} imports ${target}`);
    }
  }
  return found;
}

describe("a room imports only what precedes it in the data flow", () => {
  for (const room of rooms.filter((name) => name !== "cli"))
    test(`src/${room}/`, () => expect(forbiddenImports(room)).toEqual([]));
});

test("every room has its place in this test", () => {
  expect(rooms.toSorted()).toEqual([...flow, ...Object.keys(besideTheFlow), "cli"].toSorted());
});

test("only src/linux/ calls foreign functions", () => {
  const found = files.filter((file) => importsOf(file).some(({ target }) => target === "bun:ffi"));
  expect(found.map(({ path }) => path).filter((path) => roomOf(path) !== "linux")).toEqual([]);
});

test("only src/main.ts imports from src/cli/", () => {
  const importers = files.filter((file) => importsOf(file).some(({ target }) => roomOf(target) === "cli"));
  expect(importers.map(({ path }) => path).filter((path) => roomOf(path) !== "cli")).toEqual(["src/main.ts"]);
});

/** The files that are loaded with `path`, itself included. What is imported dynamically is loaded later, if at all. */
function loadedWith(path: string): ReadonlySet<string> {
  const loaded = new Set([path]);
  for (const each of loaded) {
    const file = files.find((candidate) => candidate.path === each);
    const needed =
      file === undefined ? [] : importsOf(file).filter(({ typesOnly, dynamic }) => !typesOnly && !dynamic);
    for (const { target } of needed) loaded.add(target);
  }
  return loaded;
}

// Each megabyte that a process loads without need costs memory on every host.
describe("a process loads only the code that it runs", () => {
  /** Modules of Node.js that load its streams, 1.5 MB and more (Bun 1.4.5), and RE2, as much. */
  const expensive = ["node:crypto", "node:http", "node:net", "node:stream", "node:tty", "node:zlib", "re2js"];
  const others = ["forest", "fingerprint", "policy", "enforcement", "examiner", "offline", "warden"];
  const unneeded: Readonly<Record<string, readonly string[]>> = {
    supervisor: [...others, "sensor", "baseline", "config", "report", "reporter", "commander", "yaml"],
    reporter: ["fingerprint", "forest", "examiner", "offline", "warden", "commander", "yaml"],
    warden: ["reporter", "commander", "yaml"],
  };
  for (const [process, rooms] of Object.entries(unneeded))
    test(process, () => {
      const loaded = [...loadedWith(`src/cli/${process}.ts`)];
      expect(loaded.filter((path) => [...rooms, ...expensive].includes(roomOf(path) ?? path))).toEqual([]);
    });
});

describe("a pure room touches no clock, file or kernel", () => {
  const pure = new Set(["vocabulary", "forest", "fingerprint", "baseline", "policy"]);
  const pureFiles = files.filter(({ path }) => pure.has(roomOf(path) ?? ""));
  /** Functions of text and numbers alone. */
  const pureLinux = /^src\/linux\/(text|cgroup-names|kernel-constants|ticks)\.ts$/;

  test("it imports no module that does", () => {
    const found = pureFiles.flatMap((file) =>
      importsOf(file)
        .filter(
          ({ target }) => /^(node|bun):/.test(target) && target !== "node:path" && target !== "node:net",
        )
        .map(({ target }) => `${file.path} imports ${target}`),
    );
    expect(found).toEqual([]);
  });

  test("of src/linux/ it imports only functions of text and numbers", () => {
    const found = pureFiles.flatMap((file) =>
      importsOf(file)
        .filter(
          ({ target, typesOnly }) => roomOf(target) === "linux" && !typesOnly && !pureLinux.test(target),
        )
        .map(({ target }) => `${file.path} imports ${target}`),
    );
    expect(found).toEqual([]);
  });

  test("it reads no clock, no environment and nothing random", () => {
    const impure =
      /\b(Date\.now|performance\.now|new Date\(\)|Math\.random|process\.(env|hrtime|argv)\b|Bun\.(file|write|spawn|gc))/;
    const found = pureFiles.filter(({ text }) =>
      impure.test(text.replaceAll(/\/\/.*$|\/\*[\s\S]*?\*\//gm, "")),
    );
    expect(found.map(({ path }) => path)).toEqual([]);
  });
});
