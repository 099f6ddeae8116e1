import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lchownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  decidingFile,
  folderProblem,
  OPEN_TO_OTHERS,
  readCheckedFile,
  WRITABLE_BY_OTHERS,
} from "../../src/linux/root-file.ts";

const me = process.geteuid?.() ?? -1;
const rules = { limit: 100, owners: [me], forbiddenMode: WRITABLE_BY_OTHERS };
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
    expect(kindOf(path, { owners: [me + 1] })).toBe("wrong_owner");
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
    expect(kindOf("/proc/self/status", { limit: 10 })).toBe("too_large");
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

  test("is refused if it is a device, without a byte of it being read", () => {
    expect(kindOf("/dev/zero")).toBe("not_regular");
    symlinkSync("/dev/zero", join(folder, "endless"));
    expect(kindOf(join(folder, "endless"), { mayBeLink: true })).toBe("not_regular");
  });
});

const MALLORY = 65_534;

/** What root is told about the file that it named. */
function answer(name: string): string {
  const content = readCheckedFile(`${folder}/${name}`, decidingFile(100));
  if (content.ok) return content.bytes.toString();
  const { reason, fix } = content.problem;
  return `${reason}; ${fix}`.replaceAll(folder, "F");
}

describe.skipIf(me !== 0)("a file that decides", () => {
  const home = join(folder, "home");

  beforeAll(() => {
    mkdirSync(join(home, "of-root"), { recursive: true });
    writeFileSync(join(home, "of-root/file"), "content");
    writeFileSync(join(home, "hers"), "content");
    for (const path of [home, join(home, "hers")]) chownSync(path, MALLORY, MALLORY);
  });

  test("may be a link to a file of root's, as files in /etc often are", () => {
    symlinkSync("file", join(folder, "config.yaml"));
    expect(answer("config.yaml")).toBe("content");
    mkdirSync(join(folder, "etc"));
    symlinkSync("../config.yaml", join(folder, "etc/config.yaml"));
    expect(answer("etc/config.yaml")).toBe("content");
  });

  test("is refused if it belongs to another user, with the command that repairs it", () => {
    chownSync(join(home, "of-root"), 0, 0);
    const named = join(folder, "hers");
    writeFileSync(named, "content");
    chownSync(named, MALLORY, MALLORY);
    expect(answer("hers")).toBe(`belongs to user ${MALLORY}, not to root; chown root F/hers`);
    chownSync(named, 0, 0);
    chmodSync(named, 0o664);
    expect(answer("hers")).toBe("can be written by others: its mode is 0664; chmod go-w F/hers");
  });

  test("is refused below a folder of another user, who can put another one in its place", () => {
    expect(answer("home/of-root/file")).toBe(
      `lies below F/home, which belongs to user ${MALLORY}, not to root; chown root F/home`,
    );
  });

  test("is refused if a link on the way can be replaced, wherever it leads", () => {
    // Root's link to a folder of mallory's, in which a link leads back to a file of root's.
    symlinkSync(folder, join(home, "back"));
    symlinkSync(join(home, "back"), join(folder, "forth"));
    expect(answer("forth/file")).toContain("lies below F/home");
    // A link of mallory's in a folder in which everybody may create links.
    const shared = join(folder, "shared-tmp");
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    symlinkSync(join(folder, "file"), join(shared, "link"));
    expect(answer("shared-tmp/link")).toBe("content");
    lchownSync(join(shared, "link"), MALLORY, MALLORY);
    expect(answer("shared-tmp/link")).toContain("leads over F/shared-tmp/link, which belongs to user");
  });

  test("may lie in a folder of root's below /tmp: there nobody can rename or remove what is root's", () => {
    const shared = join(folder, "sticky");
    mkdirSync(join(shared, "of-root"), { recursive: true });
    writeFileSync(join(shared, "of-root/file"), "content");
    writeFileSync(join(shared, "file"), "content");
    chmodSync(shared, 0o1777);
    expect(answer("sticky/of-root/file")).toBe("content");
    expect(answer("sticky/file")).toBe("content");
    chmodSync(shared, 0o777);
    expect(answer("sticky/of-root/file")).toContain("lies below F/sticky, which can be written by others");
    // The owner of a sticky folder can rename what is in it.
    chmodSync(shared, 0o1777);
    chownSync(shared, MALLORY, MALLORY);
    expect(answer("sticky/of-root/file")).toContain(`which belongs to user ${MALLORY}`);
  });

  test("is missing only below folders that no other user can fill", () => {
    expect(answer("none")).toContain("does not exist");
    expect(answer("home/none")).toContain("lies below F/home");
  });

  test("does not end in a loop of links", () => {
    symlinkSync("loop", join(folder, "loop"));
    expect(answer("loop")).toContain("is a symbolic link");
  });

  test("is found through folders that are named the long way round", () => {
    expect(answer("home/../file")).toContain("lies below F/home");
    expect(answer("etc/..//./file")).toBe("content");
  });
});

test.skipIf(me !== 0)("a folder is relied on only if it and all above it are root's", () => {
  const inside = join(folder, "trusted");
  mkdirSync(inside);
  expect(folderProblem(inside)).toBeUndefined();
  expect(folderProblem(join(folder, "nosuch"))).toBeUndefined();
  expect(folderProblem("/tmp")?.kind).toBe("wrong_mode");
  expect(folderProblem(join(folder, "file"))?.reason).toBe("is not a directory");
  chownSync(inside, MALLORY, MALLORY);
  mkdirSync(join(inside, "below"));
  expect(folderProblem(join(inside, "below"))?.reason).toContain("lies below");
});
