import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPEN_TO_OTHERS, readCheckedFile, WRITABLE_BY_OTHERS } from "../../src/linux/root-file.ts";

const me = process.geteuid?.() ?? -1;
const rules = { limit: 100, owner: me, forbiddenMode: WRITABLE_BY_OTHERS };
/** Below a folder that only root can write, as /tmp is not: the folders above are part of what is tested. */
const folder = join(me === 0 ? "/run" : "/tmp", `treewarden-root-file-${process.pid}`);
const path = join(folder, "file");

beforeAll(() => {
  mkdirSync(folder, { mode: 0o755 });
  writeFileSync(path, "content", { mode: 0o644 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function kindOf(at: string, more: object = {}): string {
  const content = readCheckedFile(at, { ...rules, ...more });
  return content.ok ? content.bytes.toString() : content.problem.kind;
}

describe("a trusted file", () => {
  test("is read if it is regular, owned by the given user and writable only by that user", () => {
    expect(kindOf(path)).toBe("content");
  });

  test("is missing if it or a folder above it does not exist", () => {
    expect(kindOf(join(folder, "none"))).toBe("missing");
    expect(kindOf(join(path, "none"))).toBe("missing");
  });

  test("is refused if it belongs to another user, or if others can write or read it", () => {
    expect(kindOf(path, { owner: me + 1 })).toBe("wrong_owner");
    expect(kindOf(path, { forbiddenMode: OPEN_TO_OTHERS })).toBe("wrong_mode");
    const shared = join(folder, "shared");
    writeFileSync(shared, "content");
    chmodSync(shared, 0o664);
    expect(kindOf(shared)).toBe("wrong_mode");
  });

  test("is refused if it is a link, a folder or a pipe, without blocking on the pipe", () => {
    const link = join(folder, "link");
    symlinkSync(path, link);
    expect(kindOf(link)).toBe("not_regular");
    expect(kindOf(link, { mayBeLink: true })).toBe("content");
    expect(kindOf(folder)).toBe("not_regular");
    const pipe = join(folder, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    expect(kindOf(pipe)).toBe("not_regular");
  });

  test("is refused if it is longer than the limit", () => {
    expect(kindOf(path, { limit: 7 })).toBe("content");
    expect(kindOf(path, { limit: 6 })).toBe("too_large");
    // Its size is said to be 0.
    expect(kindOf("/proc/self/status", { limit: 10, owner: me })).toBe("too_large");
  });

  test.skipIf(me !== 0)("is refused if others can write a folder above it, links resolved", () => {
    expect(kindOf(path, { foldersToo: true })).toBe("content");
    const shared = join(folder, "open");
    mkdirSync(join(shared, "below"), { recursive: true });
    chmodSync(shared, 0o777);
    writeFileSync(join(shared, "below/file"), "content", { mode: 0o644 });
    expect(kindOf(join(shared, "below/file"), { foldersToo: true })).toBe("wrong_mode");
    expect(kindOf(join(shared, "below/file"))).toBe("content");
    symlinkSync(join(shared, "below"), join(folder, "way"));
    expect(kindOf(join(folder, "way/file"), { foldersToo: true })).toBe("wrong_mode");
  });
});
