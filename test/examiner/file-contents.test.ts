// Questions about contents are asked again and given up, and their descriptors are closed.
import { expect, test } from "bun:test";
import { fstatSync, openSync } from "node:fs";
import { FileContents } from "../../src/examiner/file-contents.ts";

class Rig {
  sent: string[] = [];
  answers: (string | undefined)[] = [];
  hasRoom = true;
  now = 0;
  readonly contents = new FileContents({
    idsAfter: 0,
    send: (id, path, fd) => {
      if (this.hasRoom) this.sent.push(`${id} ${path} ${fd === undefined ? "-" : "file"}`);
      return this.hasRoom;
    },
    onAnswer: (_, content) => this.answers.push(content?.digest),
    now: () => this.now,
  });
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

test("a question keeps its descriptor until it is answered", () => {
  const rig = new Rig();
  const fd = openSync("/etc/passwd", "r");
  const id = rig.contents.ask("/etc/passwd", fd, []) ?? 0;
  expect([rig.sent, isOpen(fd)]).toEqual([["1 /etc/passwd file"], true]);
  rig.contents.take(id, { packaged: false, digest: "x" });
  rig.contents.take(id, { packaged: false, digest: "y" });
  expect([rig.answers, isOpen(fd)]).toEqual([["x"], false]);
});

test("a new examiner is asked again, once", () => {
  const rig = new Rig();
  rig.contents.ask("/a", undefined, []);
  rig.contents.askAgain();
  expect(rig.sent).toEqual(["1 /a -", "1 /a -"]);
  rig.contents.askAgain();
  expect(rig.answers).toEqual([undefined]);
});

test("without room in the socket a question waits for some", () => {
  const rig = new Rig();
  rig.hasRoom = false;
  rig.contents.ask("/a", undefined, []);
  rig.contents.sendWaiting();
  expect(rig.sent).toEqual([]);
  rig.hasRoom = true;
  rig.contents.sendWaiting();
  rig.contents.sendWaiting();
  expect(rig.sent).toEqual(["1 /a -"]);
});

test("a question without an answer is given up, and too many are refused", () => {
  const rig = new Rig();
  const fd = openSync("/etc/passwd", "r");
  rig.contents.ask("/a", fd, []);
  expect(rig.contents.dueIn(0)).toBe(30e9);
  rig.now = 1e9;
  for (let i = 1; i < 512; i += 1) rig.contents.ask("/b", undefined, []);
  const refused = openSync("/etc/passwd", "r");
  expect([rig.contents.ask("/c", refused, []), isOpen(refused)]).toEqual([undefined, false]);
  rig.contents.giveUp(30e9);
  expect([rig.answers, isOpen(fd)]).toEqual([[undefined], false]);
});

test("one user's questions leave room for other users', until they are answered", () => {
  const { contents } = new Rig();
  const askFor = (user: number): number | undefined => contents.ask("/a", undefined, [user]);
  const ids = Array.from({ length: 300 }, () => askFor(1000));
  expect(ids.filter((id) => id === undefined)).toHaveLength(300 - 256);
  expect(askFor(1001)).toBeDefined();
  contents.take(ids[0] ?? 0, { packaged: false });
  expect(askFor(1000)).toBeDefined();
  expect(askFor(1000)).toBeUndefined();
});
