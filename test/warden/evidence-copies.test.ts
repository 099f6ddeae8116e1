// Copies of executables as evidence, in a real folder.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AtomicFileWriter } from "../../src/warden/atomic-file-writer.ts";
import { type EmptyCopy, EvidenceCopies } from "../../src/warden/evidence-copies.ts";

const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`;
const nameOf = (digit: string): string => `sha256-${digit.repeat(64)}`;

let folder = "";
const scenes: { end: () => Promise<void> }[] = [];
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "tw-copies-")), "evidence");
});
afterEach(async () => {
  for (const each of scenes.splice(0)) await each.end();
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

async function scene({ bytesOfFile = 100, bytesOfAll = 1_000 } = {}) {
  const writer = new AtomicFileWriter();
  const failures: unknown[] = [];
  const copies = new EvidenceCopies({
    folder,
    bytesOfFile,
    bytesOfAll,
    generation: 7,
    doLater: (...job) => writer.doLater(...job),
    onFailure: (error) => failures.push(error),
  });
  const settle = () => writer.settle(20_000);
  const end = () => {
    copies.end();
    return settle();
  };
  scenes.push({ end });
  await settle();
  const take = (payers: readonly number[] = [1000]): EmptyCopy => {
    const copy = copies.take(payers);
    if (copy === undefined) throw new Error("no room");
    return copy;
  };
  /** A copy of this many bytes. */
  const keep = (digit: string, bytes: number, payers: readonly number[] = [1000]): string | undefined => {
    const copy = take(payers);
    writeSync(copy.file.fd, digit.repeat(bytes));
    return copies.keep(copy, digestOf(digit), payers);
  };
  return { copies, settle, take, keep, failures };
}

/** Names of the copies, without the files that wait for one. */
const kept = (): readonly string[] => readdirSync(folder).filter((name) => name.startsWith("sha256-"));
const waiting = (): number => readdirSync(folder).length - kept().length;

test("a copy has its digest as its name, and only root can read it", async () => {
  const { keep, settle, failures } = await scene();
  const path = keep("a", 5);
  await settle();
  expect([path, failures]).toEqual([join(folder, nameOf("a")), []]);
  expect(readFileSync(path ?? "", "utf8")).toBe("aaaaa");
  expect([statSync(path ?? "").mode & 0o777, statSync(folder).mode & 0o777]).toEqual([0o600, 0o700]);
});

test("the same program is kept once, and what could not be copied leaves nothing behind", async () => {
  const { copies, keep, take, settle } = await scene();
  const [first, second] = [keep("a", 5), keep("a", 5)];
  const failed = take();
  writeSync(failed.file.fd, "half");
  copies.discard(failed);
  await settle();
  expect(second).toBe(first);
  expect([kept(), waiting()]).toEqual([[nameOf("a")], 4]);
});

test("a copy that is larger than it may be, or has no digest, is not kept", async () => {
  const { copies, keep, take, settle } = await scene({ bytesOfFile: 10 });
  expect(keep("a", 11)).toBeUndefined();
  expect(copies.keep(take(), "sha256:../../etc/passwd", [])).toBeUndefined();
  await settle();
  expect([kept(), waiting()]).toEqual([[], 4]);
});

test("there is room for so many bytes, for one user half of them, also after a restart", async () => {
  const { copies, keep, settle } = await scene({ bytesOfAll: 200 });
  keep("a", 100);
  await settle();
  expect(copies.take([1000])).toBeUndefined();
  keep("b", 1, [1001]);
  await settle();
  expect(copies.take([1002])).toBeUndefined();
  const again = await scene({ bytesOfAll: 200 });
  expect(again.copies.take([])).toBeUndefined();
  expect(kept().toSorted()).toEqual([nameOf("a"), nameOf("b")]);
});

test("more processes than files were prepared for are killed without a copy, which waits for nothing", async () => {
  const { copies, take, settle } = await scene();
  const taken = [take(), take(), take(), take()];
  expect(copies.take([])).toBeUndefined();
  for (const copy of taken) copies.discard(copy);
  await settle();
  copies.discard(take());
});

test("what an earlier warden has prepared is removed, and a folder that cannot be written is reported", async () => {
  mkdirSync(folder);
  writeFileSync(join(folder, "new-6-1"), "");
  await scene();
  expect(readdirSync(folder)).not.toContain("new-6-1");
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "");
  const { copies, failures } = await scene();
  expect([copies.take([]), failures.length]).toEqual([undefined, 1]);
});

test("nothing but the copies is left when the warden ends", async () => {
  const { copies, keep, settle } = await scene();
  keep("a", 5);
  copies.end();
  await settle();
  expect(readdirSync(folder)).toEqual([nameOf("a")]);
});
