import { expect, test } from "bun:test";
import { type Lineage, type LineageSpec, Lineages } from "../../src/forest/lineage.ts";
import { runnable } from "./world.ts";

function spec(key: string, label = key): LineageSpec {
  return {
    program: { ...runnable(key), label },
    earlier: [],
    uid: 0,
    container: null,
    complete: true,
    init: false,
    elided: null,
  };
}

/** One process that runs `what` under `parent`, and ends. */
function run(table: Lineages, parent: Lineage, what: LineageSpec): Lineage {
  const node = table.intern(parent, what);
  table.retain(node);
  table.release(node);
  return node;
}

function rooted(): { table: Lineages; root: Lineage } {
  const table = new Lineages();
  const root = table.intern(null, spec("root"));
  table.retain(root);
  return { table, root };
}

test("what is started again has the node it had, although nobody used it meanwhile", () => {
  const { table, root } = rooted();
  const what = spec("true");
  const before = run(table, root, what);
  expect(table.size).toBe(1);
  expect(table.intern(root, what)).toBe(before);
});

test("whatever the node before it was, what differs in anything has a node of its own", () => {
  const { table, root } = rooted();
  const what = spec("true");
  const program = runnable("false");
  const kinds: LineageSpec[] = [
    what,
    { ...what, program },
    { ...what, uid: 33 },
    { ...what, uid: undefined },
    { ...what, container: "c" },
    { ...what, complete: false },
    { ...what, init: true },
    { ...what, earlier: [program] },
    { ...what, earlier: [what.program, program] },
    { ...what, elided: [] },
    { ...what, elided: [program] },
  ];
  const nodes = kinds.map((kind) => table.intern(root, kind));
  expect(new Set(nodes).size).toBe(kinds.length);
  for (const [i, a] of kinds.entries()) {
    for (const [k, b] of kinds.entries()) {
      expect(table.intern(root, a)).toBe(nodes[i] ?? root);
      expect(table.intern(root, b)).toBe(nodes[k] ?? root);
    }
  }
});

test("what is called otherwise by now gets a new node", () => {
  const { table, root } = rooted();
  run(table, root, spec("true", "true"));
  expect(table.intern(root, spec("true", "base")).program.label).toBe("base");
});

test("of a thousand nodes that nobody uses the first are forgotten", () => {
  const { table, root } = rooted();
  const first = spec("0");
  const last = spec("999");
  const nodes = [first, ...Array.from({ length: 998 }, (_, at) => spec(`${at + 1}`)), last].map((one) =>
    run(table, root, one),
  );
  expect(table.intern(root, last)).toBe(nodes[999] ?? root);
  expect(root.children?.size).toBeLessThan(300);
  expect(table.intern(root, first)).not.toBe(nodes[0] ?? root);
});

test("a node with a long key is not kept", () => {
  const { table, root } = rooted();
  const what = spec("x".repeat(4096));
  const node = run(table, root, what);
  expect(root.children?.size).toBe(0);
  expect(table.intern(root, what)).not.toBe(node);
});

test("with a node that is forgotten goes all that is below it", () => {
  const { table, root } = rooted();
  const shell = spec("s".repeat(4096));
  const parent = table.intern(root, shell);
  table.retain(parent);
  const child = run(table, parent, spec("true"));
  table.release(parent);
  expect(root.children?.size).toBe(0);
  expect(parent.children?.has(child.key)).toBe(false);
  expect(table.size).toBe(1);
});

test("a node that is used again keeps those above it in use", () => {
  const { table, root } = rooted();
  const parent = table.intern(root, spec("sh"));
  table.retain(parent);
  const child = run(table, parent, spec("true"));
  table.release(parent);
  expect(table.size).toBe(1);
  table.retain(child);
  expect(table.size).toBe(3);
  table.release(child);
  expect(table.size).toBe(1);
});
