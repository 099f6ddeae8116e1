// Tests of the examiner's process; the test takes the place of the warden.
import { describe, expect, test } from "bun:test";
import { appendFileSync, closeSync, openSync } from "node:fs";
import { join } from "node:path";
import {
  decodeExaminerMessage,
  type ExaminerMessage,
  type ExaminerRequest,
  encodeExaminerMessage,
} from "../../src/examiner/protocol.ts";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { tryLock } from "../../src/linux/flock.ts";
import { receivePacket, sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import { encodeOrder } from "../../src/supervisor/inherited.ts";
import { debian, Root } from "./root.ts";

class Child implements AsyncDisposable {
  readonly told: ExaminerMessage[] = [];
  readonly process: Bun.Subprocess;
  private readonly ask = socketPair(1 << 18);
  private readonly control = socketPair(1 << 12);
  private readonly buffer = new Uint8Array(1 << 16);

  constructor(root: string) {
    const script = join(import.meta.dir, "examiner-child.ts");
    this.process = Bun.spawn([process.execPath, script, root], {
      stdio: ["ignore", "inherit", "inherit", this.ask[1], this.control[1]],
    });
  }

  says(asked: ExaminerRequest): void {
    sendPacket(this.ask[0], encodeExaminerMessage(asked));
  }

  order(): void {
    sendPacket(this.control[0], encodeOrder("stop"));
  }

  /** The first that fits, of all that it has told. */
  async tells(fits: (told: ExaminerMessage) => boolean, ms = 8_000): Promise<ExaminerMessage> {
    const end = performance.now() + ms;
    for (;;) {
      for (let length = 1; length > 0; ) {
        length = receivePacket(this.ask[0], this.buffer);
        const told = length > 0 ? decodeExaminerMessage(this.buffer.subarray(0, length)) : undefined;
        if (told !== undefined) this.told.push(told);
      }
      const found = this.told.find(fits);
      if (found !== undefined) return found;
      if (performance.now() > end) throw new Error(`not told: ${JSON.stringify(this.told)}`);
      await Bun.sleep(10);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    for (const end of [...this.ask, ...this.control]) closeDescriptor(end);
  }
}

const isReady = (told: ExaminerMessage): boolean => told.type === "ready";
const isPackages = (told: ExaminerMessage): boolean => told.type === "packages";
const isBase = (told: ExaminerMessage): boolean => told.type === "base";
const answers =
  (path: string, inode?: number) =>
  (told: ExaminerMessage): boolean =>
    told.type === "answer" && told.path === path && (inode === undefined || told.inode === inode);

describe("an examiner", () => {
  test("sends a new warden the base system and the results for its programs", async () => {
    using root = debian();
    await using child = new Child(root.path);
    await child.tells(isReady);
    child.says({ type: "begin", generation: 1 });
    const base = await child.tells(isBase);
    expect(base).toEqual({
      type: "base",
      files: [
        ["/usr/bin/cat.distrib", "coreutils, essential"],
        ["/usr/bin/ls", "coreutils, essential"],
      ],
      first: true,
      last: true,
    });
    expect(await child.tells(answers("/usr/bin/ls"))).toMatchObject({
      package: "coreutils",
      modified: false,
    });
    expect(await child.tells(answers("/usr/bin/cat.distrib"))).toMatchObject({ modified: false });
    // The same warden again, as after another examiner's start, hears nothing twice.
    child.says({ type: "begin", generation: 1 });
    child.says(root.question("/usr/bin/stranger"));
    await child.tells(answers("/usr/bin/stranger"));
    expect(child.told.filter(isBase)).toHaveLength(1);
  });

  test("answers questions", async () => {
    using root = debian();
    await using child = new Child(root.path);
    child.says(root.question("/usr/bin/stranger"));
    expect(await child.tells(answers("/usr/bin/stranger"))).toMatchObject({
      package: null,
      unpackaged: true,
    });
  });

  test("reports installed packages once the package manager has finished", async () => {
    using root = debian();
    await using child = new Child(root.path);
    child.says({ type: "begin", generation: 1 });
    await child.tells(isBase);
    const lock = openSync(`${root.path}/var/lib/dpkg/lock`, "r+");
    tryLock(lock);
    root.file("/usr/bin/fresh", "fresh");
    root.file("/var/lib/dpkg/info/fresh.list", "/usr/bin/fresh\n");
    appendFileSync(
      `${root.path}/var/lib/dpkg/status`,
      "Package: fresh\nStatus: install ok installed\nPriority: important\n",
    );
    child.says(root.question("/usr/bin/fresh"));
    const during = await child.tells(answers("/usr/bin/fresh"));
    expect(during).toMatchObject({ final: false });
    expect(during).not.toHaveProperty("unpackaged");
    closeSync(lock);
    const before = child.told.find(isPackages);
    await child.tells((told) => isPackages(told) && !Bun.deepEquals(told, before), 12_000);
    const later = (told: ExaminerMessage) =>
      told.type === "base" && told.files.some(([path]) => path === "/usr/bin/fresh");
    await child.tells(later);
    child.told.length = 0;
    child.says(root.question("/usr/bin/fresh"));
    expect(await child.tells(answers("/usr/bin/fresh"))).toMatchObject({
      package: "fresh",
      unpackaged: false,
    });
  }, 30_000);

  test("reports at once that the loader's list of preloaded libraries changed, and nothing of its neighbours", async () => {
    using root = debian();
    root.file("/etc/hosts", "");
    await using child = new Child(root.path);
    await child.tells(isReady);
    child.says({ type: "begin", generation: 1 });
    await child.tells(isPackages);
    root.file("/etc/hosts", "127.0.0.1 x\n");
    await Bun.sleep(300);
    const isPreload = (told: ExaminerMessage): boolean => told.type === "preload";
    expect(child.told.some(isPreload)).toBe(false);
    root.file("/etc/ld.so.preload", "/usr/lib/x.so\n");
    await child.tells(isPreload, 1_000);
  });

  test("changes no file", async () => {
    using root = debian();
    const list = () => Bun.spawnSync(["find", root.path, "-printf", "%p %s %T@ %C@ %m\n"]).stdout.toString();
    const before = list();
    await using child = new Child(root.path);
    child.says({ type: "begin", generation: 1 });
    await child.tells(answers("/usr/bin/ls"));
    expect(list()).toBe(before);
  });

  test("sends the embedded list without a package database, and no results for files", async () => {
    using root = new Root();
    root.file("/usr/bin/ls", "ls");
    await using child = new Child(root.path);
    child.says({ type: "begin", generation: 1 });
    await child.tells((told) => told.type === "base" && told.last);
    child.says(root.question("/usr/bin/ls"));
    expect(await child.tells(answers("/usr/bin/ls"))).not.toHaveProperty("unpackaged");
  });

  test("does not repeat the base system to a warden that knows this state", async () => {
    using root = debian();
    const question = root.question("/usr/bin/stranger");
    let packages = "";
    {
      await using child = new Child(root.path);
      child.says({ type: "begin", generation: 1 });
      const told = await child.tells(isPackages);
      if (told.type === "packages") packages = told.state;
    }
    await using child = new Child(root.path);
    child.says({ type: "begin", generation: 1, packages });
    child.says(question);
    await child.tells(answers("/usr/bin/stranger"));
    expect(child.told.map(({ type }) => type)).toEqual(["ready", "answer"]);
    child.says({ type: "begin", generation: 2, packages: "others" });
    await child.tells(isBase);
  });

  test("announces its exit and ends when it is idle", async () => {
    using root = debian();
    await using child = new Child(root.path);
    child.says({ type: "begin", generation: 1 });
    await child.tells(({ type }) => type === "asleep", 12_000);
    expect(await child.process.exited).toBe(0);
    expect(child.told.at(-1)).toEqual({ type: "asleep" });
  }, 20_000);

  test("ends at the order to stop", async () => {
    using root = debian();
    await using child = new Child(root.path);
    await child.tells(isReady);
    child.order();
    expect(await child.process.exited).toBe(0);
  });

  test("ignores packets that are not questions", async () => {
    using root = debian();
    await using child = new Child(root.path);
    for (const path of ["/usr/bin/../bin/ls", "/", "/usr/bin", `/${"x".repeat(4000)}`, "/usr/bin/ls\0"])
      child.says({ path, device: 1, inode: 1 });
    child.says(root.question("/usr/bin/ls"));
    const { inode } = root.question("/usr/bin/ls");
    expect(await child.tells(answers("/usr/bin/ls", inode))).toMatchObject({ package: "coreutils" });
  });
});
