// The kernel ends what a closed process executes before its first instruction: the program writes a byte at once, and no
// byte is there.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClosedSet } from "../../src/sensor/prevention/closed-set.ts";
import { whyNot } from "./ebpf-watch.ts";
import { openSets, PreventionFolder, PreventionWatch, TEST_USER } from "./prevention-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** s_magic, linux/magic.h */
const FUSE = 0x6573_5546;
const EXT4 = 0xef53;
const LOADER = "/lib64/ld-linux-x86-64.so.2";

/** Milliseconds for a test on a busy host. */
setDefaultTimeout(20_000);

/** How often each way is tried. */
const TIMES = 1000;

const ways = [
  "execve",
  "execveat",
  "fexecve",
  "opath",
  "memfd",
  "deleted",
  "thread",
  "leaderless",
  "first",
  "ptraced",
  "vfork",
  "spawn",
  "sibling",
  "grandchild",
  "usermounts",
] as const;

describe.skipIf(reason !== undefined)("a closed process", () => {
  let folder: PreventionFolder;
  let watch: PreventionWatch;

  beforeAll(() => {
    folder = new PreventionFolder();
    // The tests take longer than processes stay closed without a beat.
    watch = new PreventionWatch({ limitMs: 0 });
  });

  afterAll(() => {
    watch[Symbol.dispose]();
    folder[Symbol.dispose]();
  });

  /** Has a new process, closed by a set, start a program, and expects that all or none of these die. */
  async function expectEnd(
    end: "dies" | "runs",
    set: Partial<ClosedSet>,
    [way, path, argument = ""]: readonly [way: string, path: string, argument?: string],
    times = 20,
    user = TEST_USER,
    judgedAs = user,
  ): Promise<void> {
    await using actor = await folder.start(user);
    const number = watch.define(set);
    watch.close(actor, number, judgedAs === undefined ? {} : { uid: judgedAs });
    const before = folder.written;
    const { killed, ended, failed } = await actor.run(way, times, path, argument);
    expect([path, { killed, ended, failed }]).toEqual([
      path,
      end === "dies" ? { killed: times, ended: 0, failed: 0 } : { killed: 0, ended: times, failed: 0 },
    ]);
    expect(watch.prevention.counts().prevented.get(number) ?? 0).toBe(killed);
    if (end === "dies") expect(folder.written).toBe(before);
  }

  /** A file of root's with this content. */
  function script(name: string, text: string, owner = 0): string {
    const path = folder.path(name);
    writeFileSync(path, text, { mode: 0o755 });
    chownSync(path, owner, owner);
    return path;
  }

  describe("that may start nothing else ends before the first instruction of what it starts", () => {
    for (const way of ways) {
      test(`by ${way}, a program of its user's`, () =>
        expectEnd("dies", {}, [way, folder.copy("own", TEST_USER)], TIMES));
    }
    for (const way of [
      "execve",
      "vfork",
      "spawn",
      "thread",
      "leaderless",
      "usermounts",
      "usermounts-by-descriptor",
    ]) {
      test(`by ${way}, a program of root's`, () => expectEnd("dies", {}, [way, folder.program], TIMES));
    }

    test("a program of root's with the set-user-id bit", async () => {
      const path = folder.copy("setuid");
      chmodSync(path, 0o4755);
      await expectEnd("dies", {}, ["execve", path], TIMES);
    });

    test("a program that others may write", async () => {
      const path = folder.copy("writable");
      chmodSync(path, 0o757);
      await expectEnd("dies", { identifiedAt: 0n }, ["execve", path]);
    });

    test("a memfd and a deleted file, even of root's", async () => {
      await expectEnd("dies", {}, ["memfd", folder.program], 20, 0);
      await expectEnd("dies", {}, ["deleted", folder.program], 20, 0);
    });

    test("but not what a package manager has replaced meanwhile", async () => {
      const minuteAgo = BigInt(Date.now() - 60_000) * 1_000_000n;
      const set = { carriersDie: false, identifiedAt: minuteAgo };
      await expectEnd("runs", set, ["deleted", folder.program], 20, 0);
    });

    test("its own program named like a shell, or changed since the exceptions were identified", async () => {
      await expectEnd("dies", { identifiedAt: 0n }, ["execve", folder.copy("sh", TEST_USER)]);
    });

    test("a program on a tmpfs, on an overlay, and one that is bound to another place", async () => {
      using mounts = new DisposableStack();
      const mount = mounting(mounts);
      const memory = folder.path("tmpfs");
      mkdirSync(memory);
      mount("-t", "tmpfs", "-o", "mode=755,size=1m", "tmpfs", memory);
      await expectEnd("dies", {}, ["execve", folder.copy("tmpfs/program")], TIMES);
      await expectEnd("dies", {}, ["execve", folder.copy("tmpfs/own", TEST_USER)], TIMES);
      const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => {
        mkdirSync(folder.path(`tmpfs/${name}`));
        return folder.path(`tmpfs/${name}`);
      });
      const lowerProgram = folder.copy("tmpfs/lower/program");
      folder.copy("tmpfs/lower/own", TEST_USER);
      mount(
        "-t",
        "overlay",
        "-o",
        `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
        "overlay",
        `${merged}`,
      );
      await expectEnd("dies", {}, ["execve", `${merged}/program`], TIMES);
      await expectEnd("dies", {}, ["execve", `${merged}/own`], TIMES);
      await expectEnd("dies", { exceptions: [{ file: watch.identityOf(lowerProgram), next: openSets }] }, [
        "execve",
        `${merged}/program`,
      ]);
      const bound = folder.path("bound");
      writeFileSync(bound, "");
      mount("--bind", folder.program, bound);
      await expectEnd("dies", {}, ["execve", bound], TIMES);
      await expectEnd("runs", { exceptions: [{ file: watch.identityOf(bound), next: openSets }] }, [
        "execve",
        folder.program,
      ]);
    });

    test("a program of root's, in a service with mounts of its own, where the host has it", async () => {
      await expectEnd("dies", {}, ["private", folder.program], TIMES, 0);
      await expectEnd("dies", {}, ["pivoted", folder.program], 100, 0);
    });

    test("in its own place", async () => {
      await using actor = await folder.start();
      watch.close(actor, { own: watch.define(), child: 0 });
      expect(await actor.run("execve", 1, folder.program)).toEqual({ killed: 0, ended: 1, failed: 0 });
      const { written } = folder;
      await expect(actor.run("self", 1, folder.program)).rejects.toThrow("ended");
      expect(await actor.signal()).toBe("SIGKILL");
      expect(folder.written).toBe(written);
    });
  });

  describe("where every program dies, whatever its arguments", () => {
    const all = { carriersDie: true };

    test("starts no script, no script of a script, and nothing by the dynamic loader", async () => {
      const plain = script("plain", "#!/bin/sh\necho x >&9\n", TEST_USER);
      const chained = script("chained", `#!${plain}\n`, TEST_USER);
      await expectEnd("dies", all, ["execve", plain], TIMES);
      await expectEnd("dies", all, ["execve", chained], TIMES);
      if (existsSync(LOADER)) await expectEnd("dies", all, ["execve", LOADER, folder.program], TIMES);
      await expectEnd("dies", all, ["execve", folder.copy("python3.11")], TIMES);
      await expectEnd("dies", all, ["execve", folder.copy("busybox")], TIMES);
    });

    test("starts no file of a format that is registered with the kernel", async () => {
      using mounts = new DisposableStack();
      const formats = folder.path("formats");
      mkdirSync(formats);
      try {
        mounting(mounts)("-t", "binfmt_misc", "binfmt_misc", formats);
      } catch {
        console.log("skipped: the kernel has no binfmt_misc");
        return;
      }
      writeFileSync(join(formats, "register"), `:tw-prevention:M::TWFORMAT::${folder.program}:`);
      mounts.defer(() => writeFileSync(join(formats, "tw-prevention"), "-1"));
      const path = script("format", "TWFORMAT", TEST_USER);
      await expectEnd("dies", all, ["execve", path], TIMES);
      await expectEnd("runs", {}, ["execve", path]);
    });

    test("starts root's new files neither", () => expectEnd("dies", all, ["execve", folder.copy("new")]));

    test("but where it has exceptions, their upgrades are left to user space", async () => {
      const identifiedAt = BigInt(Date.now()) * 1_000_000n;
      await expectEnd("runs", { ...all, identifiedAt }, ["execve", folder.copy("upgraded")]);
      await expectEnd("dies", { ...all, identifiedAt }, ["execve", "/bin/sh"]);
    });

    test("still runs an exception", () =>
      expectEnd(
        "runs",
        { ...all, exceptions: [{ file: watch.identityOf(folder.program), next: openSets }] },
        ["execve", folder.program],
      ));
  });

  describe("is left to user space", () => {
    test("with root's programs that run what their arguments name, and with scripts of anybody", async () => {
      await expectEnd("runs", {}, ["execve", folder.copy("sh")]);
      await expectEnd("runs", {}, ["execve", folder.copy("python3.11")]);
      await expectEnd("runs", {}, ["execve", folder.copy("busybox")]);
      await expectEnd("dies", {}, ["execve", folder.copy("shutdown")]);
      await expectEnd("runs", {}, ["execve", script("by-sh", "#!/bin/sh\n", TEST_USER)]);
      if (existsSync(LOADER)) await expectEnd("runs", {}, ["execve", LOADER, "/bin/true"]);
    });

    test("but not with a script whose interpreter is its own", () =>
      expectEnd("dies", {}, [
        "execve",
        script("odd", `#!${folder.copy("interpreter", TEST_USER)}\n`, TEST_USER),
      ]));

    test("with root's files that were changed after the exceptions were identified", async () => {
      const identifiedAt = BigInt(Date.now()) * 1_000_000n;
      const path = folder.copy("upgraded");
      await expectEnd("runs", { identifiedAt }, ["execve", path]);
      await expectEnd("dies", { identifiedAt: identifiedAt + 60_000_000_000n }, ["execve", path]);
      await expectEnd("dies", { identifiedAt }, ["execve", "/bin/true"]);
    });

    test("with root's files that have another path there than on the host", async () => {
      const other = folder.copy("other");
      await expectEnd("runs", {}, ["bound", folder.program, other], 20, 0);
      await expectEnd("runs", {}, ["belowroot", folder.program], 20, 0);
      await expectEnd("runs", {}, ["sameroot", folder.program], 20, 0);
    });

    test("with root's files in a container, not with others there", async () => {
      await expectEnd("runs", {}, ["container", folder.program], 20, 0);
      await expectEnd("dies", {}, ["container", folder.copy("in-container", TEST_USER)], 20, 0);
      await expectEnd("runs", { carriersDie: true }, ["container", folder.program], 20, 0);
    });

    test("where the program runs as another user than the set is for", async () => {
      const own = folder.copy("of-user", TEST_USER);
      const ofUser = { ofUser: true };
      await expectEnd("dies", ofUser, ["execve", own]);
      await expectEnd("dies", ofUser, ["grandchild", own]);
      await expectEnd("runs", ofUser, ["execve", own], 20, TEST_USER, 0);
      await expectEnd("runs", ofUser, ["grandchild", own], 20, TEST_USER, 0);
      const path = folder.copy("setuid-root");
      chmodSync(path, 0o4755);
      await expectEnd("runs", ofUser, ["execve", path]);
      await expectEnd("dies", ofUser, ["execve", path], 20, TEST_USER, 0);
    });
  });

  describe("with an exception", () => {
    test("runs that file under any name, and none that is put in its place", async () => {
      const path = folder.copy("excepted", TEST_USER);
      const exceptions = [{ file: watch.identityOf(path), next: openSets }];
      await expectEnd("runs", { exceptions }, ["execve", path], TIMES);
      linkSync(path, folder.path("linked"));
      // A link moves ctime: the file has another identity.
      await expectEnd("dies", { exceptions }, ["execve", folder.path("linked")]);
      renameSync(folder.copy("replacement", TEST_USER), path);
      await expectEnd("dies", { exceptions }, ["execve", path]);
    });

    test("is not closed for a script of it, whose arguments nobody knows", () =>
      expectEnd("runs", { exceptions: [{ file: watch.identityOf(folder.program), next: openSets }] }, [
        "execve",
        script("of-exception", `#!${folder.program}\n`, TEST_USER),
      ]));

    test("has the sets that follow at once, before anybody has read of the exec", async () => {
      const own = folder.copy("followed", TEST_USER);
      const nothing = watch.define();
      const file = watch.identityOf(folder.actor);
      for (const [next, expected] of [
        [
          { own: nothing, child: nothing },
          { killed: 200, ended: 0, failed: 0 },
        ],
        [
          { own: 0, child: nothing },
          { killed: 0, ended: 200, failed: 0 },
        ],
        [openSets, { killed: 0, ended: 200, failed: 0 }],
      ] as const) {
        await using actor = await folder.start();
        watch.close(actor, watch.define({ exceptions: [{ file, next }] }));
        expect(await actor.run("twice", 200, own)).toEqual(expected);
      }
    });

    test("of a user's own file system, whose numbers and times are forged, has none", async () => {
      const node = folder.path("fuse");
      const { exitCode, stderr } = Bun.spawnSync(["mknod", "-m", "666", node, "c", "10", "229"]);
      if (exitCode !== 0) throw new Error(stderr.toString());
      const target = folder.path("forged");
      mkdirSync(target);
      chownSync(target, TEST_USER, TEST_USER);
      await using actor = await folder.start(TEST_USER, node, target, folder.program);
      const path = join(target, "file");
      // Without a set it runs, so the forged file system works.
      expect(await actor.run("execve", 1, path)).toEqual({ killed: 0, ended: 1, failed: 0 });
      const real = {
        device: actor.device & 0xfffff,
        inode: 4711n,
        generation: 42,
        changed: 1_000_000_000n,
        changedNanoseconds: 123_456_789,
      };
      const exceptions = [FUSE, EXT4].map((filesystem) => ({
        file: { ...real, filesystem },
        next: openSets,
      }));
      watch.close(actor, watch.define({ exceptions }));
      expect(await actor.run("execve", TIMES, path)).toEqual({ killed: TIMES, ended: 0, failed: 0 });
    });
  });

  test("is reported with what it would have run, as prevented", async () => {
    await using actor = await folder.start();
    watch.close(actor, watch.define());
    const path = folder.copy("reported", TEST_USER);
    await actor.run("execve", 3, path);
    const execs = watch
      .drain()
      .filter((event) => event.kind === "exec")
      .filter(({ facts }) => facts.executable === path);
    expect(execs).toMatchObject([1, 2, 3].map(() => ({ prevented: true, preventionFailed: false })));
    const forks = watch.drain().filter((event) => event.kind === "fork" && event.parentPid === actor.pid);
    expect(forks).toMatchObject([1, 2, 3].map(() => ({ execId: watch.judged(actor).execId })));
  });
});

/** mount(8) with these arguments, until `mounts` is disposed of. */
function mounting(mounts: DisposableStack): (...command: string[]) => void {
  return (...command) => {
    const target = command.at(-1) ?? "";
    const { exitCode, stderr } = Bun.spawnSync(["mount", ...command]);
    if (exitCode !== 0) throw new Error(stderr.toString());
    mounts.defer(() => void Bun.spawnSync(["umount", "-l", target]));
  };
}
