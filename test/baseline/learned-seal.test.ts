// What the warden has learned passes through the reporter, which may be taken over: root takes only what the warden
// has sealed.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mergeEntries } from "../../src/baseline/entry.ts";
import { type LearnedTree, type LearnedUpdate, parseSealedUpdate } from "../../src/baseline/learned.ts";
import { entryOfTree } from "../../src/baseline/learned-entry.ts";
import { sealUpdate, verifyRow } from "../../src/baseline/learned-seal.ts";
import { SEAL_KEY_BYTES } from "../../src/vocabulary/seal.ts";
import { type LearnedRow, rowOf } from "./learned-rows.ts";
import { NOON, RUN } from "./samples.ts";

const key = new Uint8Array(SEAL_KEY_BYTES).fill(1);
const started = NOON - 60;
const origin = { learning: RUN, warden: "run:1", started };
const tree: LearnedTree = {
  id: "0123456789abcdef0123456789abcdef",
  scope: "cron.service",
  exact: "/cron/sh",
  habit: "/cron/sh",
  path: "/usr/bin/dash",
  tree: "/cron/base",
  complete: true,
  fromMain: false,
  first: NOON,
  last: NOON + 60,
  count: 2,
  users: "0,33",
  executables: "-",
  contents: "-",
  arguments: "sh -c x",
  change: null,
};
const row = rowOf(tree, key, origin);

function verified(changed: Partial<LearnedRow>): LearnedTree | undefined {
  return verifyRow(JSON.stringify({ ...row, ...changed }), key)?.tree;
}

describe("a report on its way to the reporter", () => {
  test.each<LearnedUpdate>([
    { kind: "tree", started, tree },
    { kind: "counts", started, counts: [{ id: tree.id, last: NOON, count: 3, users: "-" }] },
    { kind: "executables", started, id: tree.id, executables: "/usr/bin/dash,dash,-", contents: "varies" },
  ])("survives the wire: %#", (update) => {
    const sealed = sealUpdate(update, key, origin);
    expect(sealed).toMatchObject(update);
    expect(parseSealedUpdate(JSON.parse(JSON.stringify(sealed)))).toEqual(sealed);
    expect(parseSealedUpdate(update)).toBeUndefined();
  });

  test("with an invalid field is refused as a whole", () => {
    const sealed = sealUpdate({ kind: "tree", started, tree }, key, origin);
    for (const wrong of [
      { ...sealed, tree: { ...tree, users: "33,0" } },
      { ...sealed, tree: { ...tree, id: "x" } },
      { ...sealed, started: -1 },
      { ...sealed, learning: "x" },
      {
        ...sealUpdate(
          { kind: "executables", started, id: tree.id, executables: "dash", contents: "-" },
          key,
          origin,
        ),
      },
      {
        ...sealUpdate(
          { kind: "executables", started, id: tree.id, executables: "-", contents: "sha256:0" },
          key,
          origin,
        ),
      },
      { kind: "other", started },
    ])
      expect(parseSealedUpdate(wrong)).toBeUndefined();
  });

  test("never makes the reporter's parser throw", () => {
    const fields = fc.dictionary(fc.constantFrom(...Object.keys(tree)), fc.jsonValue());
    const kind = fc.constantFrom("tree", "counts", "executables");
    fc.assert(
      fc.property(kind, fields, fc.jsonValue(), (of, changed, counts) => {
        parseSealedUpdate({ ...changed, kind: of, started, tree: { ...tree, ...changed }, counts });
      }),
    );
  });
});

describe("a row of the reporter's table", () => {
  test("verifies if every column is as the warden has reported it", () => {
    expect(verifyRow(JSON.stringify(row), key)).toEqual({ learning: RUN, tree });
  });

  test("does not verify if one column was changed", () => {
    for (const [name, value] of Object.entries(row)) {
      const other = typeof value === "number" ? 1 - Math.sign(value) : `${value}x`;
      expect(verifyRow(JSON.stringify({ ...row, [name]: other }), key)).toBeUndefined();
    }
    expect(verified({ arguments: null })).toBeUndefined();
    expect(verified({ count_seal: row.tree_seal })).toBeUndefined();
  });

  test("does not verify if it was sealed with another key", () => {
    const own = new Uint8Array(SEAL_KEY_BYTES).fill(2);
    const forged = rowOf({ ...tree, exact: "/nginx/evil-implant" }, own, origin);
    expect(verifyRow(JSON.stringify(forged), key)).toBeUndefined();
  });

  test("of an earlier learning run, or of another warden, cannot be given out as one of this run", () => {
    for (const earlier of [
      { ...origin, learning: "6".repeat(32) },
      { ...origin, warden: "run:0" },
    ]) {
      const replayed = { ...rowOf(tree, key, earlier), learning: RUN, origin: row.origin };
      expect(verifyRow(JSON.stringify(replayed), key)).toBeUndefined();
    }
  });

  test("takes the count of a later report, and not that of another tree", () => {
    const counts = [
      { id: tree.id, last: NOON + 99, count: 7, users: "0" },
      { id: "f".repeat(32), last: NOON, count: 9, users: "0" },
    ];
    const update = sealUpdate({ kind: "counts", started, counts }, key, origin);
    if (update.kind !== "counts") throw new Error("not sealed");
    const [own, others] = update.counts.map(({ last, count, users, seal }) => ({
      ...{ last, count, users },
      count_seal: seal,
    }));
    expect(verified(own ?? {})).toMatchObject({ count: 7, last: NOON + 99 });
    expect(verified(others ?? {})).toBeUndefined();
  });

  test("is verified without an error, whatever it holds", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(row)), fc.jsonValue(), (name, value) => {
        const found = verifyRow(JSON.stringify({ ...row, [name]: value }), key);
        if (found !== undefined) expect(found.tree).toEqual(tree);
      }),
    );
    expect(verifyRow("{", key)).toBeUndefined();
  });
});

test("trees of several wardens are one entry whose counts add up", () => {
  const entries = [tree, { ...tree, count: 5 }].map(entryOfTree).filter((entry) => typeof entry !== "string");
  expect(mergeEntries([entries], false)).toEqual([
    expect.objectContaining({
      scope: "cron.service",
      exact: "/cron/sh",
      count: 7,
      hosts: 1,
      users: [0, 33],
    }),
  ]);
});

test("a tree that a baseline cannot hold is refused with the reason", () => {
  expect(entryOfTree({ ...tree, exact: "x\n/y" })).toBe("an empty column, or one that is not printable");
  expect(entryOfTree({ ...tree, path: "\u001b[2J" })).toContain("not printable");
});
