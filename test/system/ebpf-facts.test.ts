// What the eBPF sensor says of a program against what /proc says of the same program, which is kept alive for that.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { ExecEvent, ProcessFacts } from "../../src/sensor/event.ts";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import { Held, Stage, Watch, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const NOBODY = 65_534;
/** Thousands of folders on a busy disk. */
const SLOW_MS = 60_000;

/** Without what is not read from /proc, or only to the clock's precision. */
type Compared = Omit<
  ProcessFacts,
  "filename" | "script" | "executableAge" | "pidNamespace" | "environment" | "environmentTruncated"
>;

function compared(facts: ProcessFacts): Compared {
  const {
    filename: _filename,
    script: _script,
    executableAge: _age,
    pidNamespace: _pids,
    environment: _environment,
    environmentTruncated: _truncated,
    ...rest
  } = facts;
  return rest;
}

const unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) =>
  existsSync(`${path}/cgroup.procs`),
);

describe.skipIf(reason !== undefined)("the program of an exec", () => {
  let stage: Stage;
  let watch: Watch;
  let reader: FactsReader;

  beforeAll(() => {
    stage = new Stage();
    // Other programs of the machine may be busy while a test is slow: nothing of ours may be lost by that.
    watch = new Watch({ bufferBytes: 16 << 20, environmentNames: ["LD_PRELOAD", "BASH_ENV"] });
    reader = new FactsReader();
  });

  afterAll(() => {
    reader[Symbol.dispose]();
    watch[Symbol.dispose]();
    stage[Symbol.dispose]();
  }, SLOW_MS);

  /** Runs what ends up as `actor hold`; the sensor's word on it, after /proc was found to say the same. */
  async function agreed(
    command: string[],
    options: { cwd?: string } = {},
    pidOf = (pid: number) => pid,
  ): Promise<ExecEvent> {
    const begun = performance.now();
    await using held = await Held.start(command, options);
    const pid = pidOf(held.pid);
    const exec = watch.exec(pid);
    const known = reader.read(pid);
    expect(compared(exec.facts)).toEqual(compared(known));
    // /proc was read later, by what has passed since at most.
    const later = (known.executableAge ?? 0) - (exec.facts.executableAge ?? 1e9);
    expect(later).toBeWithin(-0.05, (performance.now() - begun) / 1e3 + 0.05);
    return exec;
  }

  function folder(name: string): string {
    const path = join(stage.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  function copied(path: string): string {
    copyFileSync(stage.actor, path);
    return path;
  }

  test("is what /proc says, in every field", async () => {
    const { facts } = await agreed([stage.actor, "hold"], { cwd: stage.folder });
    expect(facts.executable).toBe(stage.actor);
    expect(facts.filename).toBe(stage.actor);
    expect(facts.cwd).toBe(stage.folder);
    expect(facts.parentPid).toBe(process.pid);
  });

  test("has spaces, quotes and newlines in its path and arguments", async () => {
    const path = copied(join(folder("a b\n'c'"), 'd "e"\t'));
    const { facts } = await agreed([path, "hold", "", " ", "line\nline", "(x) y"]);
    expect(facts.executable).toBe(path);
    expect(facts.args).toEqual([path, "hold", "", " ", "line\nline", "(x) y"]);
  });

  test("has bytes that are not UTF-8 in its path and arguments", async () => {
    const script = `cd '${stage.folder}' && cp actor "$(printf 'n\\377\\200')" && exec "./$(printf 'n\\377\\200')" hold "$(printf '\\376')"`;
    const { facts } = await agreed(["sh", "-c", script]);
    expect(facts.executable).toBe(`${stage.folder}/n\udcff\udc80`);
    expect(facts.args?.at(-1)).toBe("\udcfe");
  });

  test("is found through a symbolic link, a relative path and PATH alike", async () => {
    symlinkSync(stage.actor, join(stage.folder, "link"));
    const { facts } = await agreed(["sh", "-c", "exec ./link hold"], { cwd: stage.folder });
    expect(facts.executable).toBe(stage.actor);
    expect(facts.filename).toBe("./link");
  });

  test("has its whole path, 3,000 bytes in 300 folders deep", async () => {
    const below = folder("deep");
    const { facts } = await agreed([stage.actor, "deep", "300", "000000000", stage.actor, "hold"], {
      cwd: below,
    });
    expect(facts.executable).toBe(`${below}${"/000000000".repeat(300)}/deep`);
    expect(facts.cwd).toBe(`${below}${"/000000000".repeat(300)}`);
  });

  test(
    "has its whole path, 2,000 folders deep",
    async () => {
      const below = folder("deeper");
      const command = [stage.actor, "deep", "1990", "d", stage.actor, "hold"];
      const { facts } = await agreed(command, { cwd: below });
      expect(facts.executable === `${below}${"/d".repeat(1990)}/deep`).toBe(true);
    },
    SLOW_MS,
  );

  test(
    "has its whole path where it is too long for /proc (PATH_MAX)",
    async () => {
      const below = folder("too-deep");
      const name = "n".repeat(250);
      const command = [stage.actor, "deep", "40", name, stage.actor, "hold"];
      await using held = await Held.start(command, { cwd: below });
      expect(reader.read(held.pid).executable).toBeUndefined();
      expect(watch.exec(held.pid).facts.executable === `${below}${`/${name}`.repeat(40)}/deep`).toBe(true);
    },
    SLOW_MS,
  );

  test(
    "beyond what a program may walk is not guessed at, and nothing else is lost",
    async () => {
      const below = folder("bottomless");
      const command = [stage.actor, "deep", "4500", "d", stage.actor, "hold"];
      await using held = await Held.start(command, { cwd: below });
      const { facts } = watch.exec(held.pid);
      expect(facts.executable).toBeUndefined();
      expect(facts.cwd).toBeUndefined();
      expect(facts.args).toEqual([stage.actor, "hold"]);
      expect(facts.inode).toBe(reader.read(held.pid).inode ?? 0);
    },
    SLOW_MS,
  );

  test("of 1 MiB of arguments keeps the first 4 KiB, and says that there were more", async () => {
    const many = new Array<string>(1024).fill("a".repeat(1023));
    const { facts } = await agreed([stage.actor, "hold", ...many]);
    expect(facts.argsTruncated).toBe(true);
    const start = [stage.actor, "hold", ...many].join("\0").slice(0, 4096);
    expect(facts.args?.join("\0")).toBe(start);
  });

  describe("the environment", () => {
    /** What is said of `actor hold` with these variables in its environment. */
    async function saidOf(variables: readonly string[], on = true): Promise<ProcessFacts> {
      watch.sensor.readEnvironment(on);
      try {
        const held = await agreed(["env", "-i", ...variables, stage.actor, "hold"]);
        return held.facts;
      } finally {
        watch.sensor.readEnvironment(false);
      }
    }

    test("has the variables that were asked for", async () => {
      const { environment, environmentTruncated } = await saidOf(["A=1", "LD_PRELOAD=/srv/x y.so", "B=2"]);
      expect([...(environment ?? [])]).toEqual([
        ["LD_PRELOAD", "/srv/x y.so"],
        ["BASH_ENV", null],
      ]);
      expect(environmentTruncated).toBe(false);
    });

    test("may be empty", async () => {
      const { environment, environmentTruncated } = await saidOf([]);
      expect(environment?.get("LD_PRELOAD")).toBeNull();
      expect(environmentTruncated).toBe(false);
    });

    test("may have hundreds of variables before the one that matters", async () => {
      const many = Array.from({ length: 500 }, (_, i) => `A${i}=1`);
      const { environment } = await saidOf([...many, "BASH_ENV=/srv/e"]);
      expect(environment?.get("BASH_ENV")).toBe("/srv/e");
    });

    test("of 8 KiB is read whole, and of a byte more not at all", async () => {
      const filled = (bytes: number) => {
        const preload = "LD_PRELOAD=/srv/x.so";
        return [`A=${"x".repeat(bytes - "A=".length - preload.length - 2)}`, preload];
      };
      const whole = await saidOf(filled(8192));
      expect(whole.environment?.get("LD_PRELOAD")).toBe("/srv/x.so");
      expect(whole.environmentTruncated).toBe(false);
      const longer = await saidOf(filled(8193));
      expect(longer.environment).toBeUndefined();
      expect(longer.environmentTruncated).toBe(true);
    });

    test("is not read unless somebody asks", async () => {
      const { environment, environmentTruncated } = await saidOf(["LD_PRELOAD=/srv/x.so"], false);
      expect([environment, environmentTruncated]).toEqual([undefined, undefined]);
    });
  });

  test("is trusted if its file is root's and nobody else can write it", async () => {
    const path = copied(join(folder("owners"), "tool"));
    const trusted = async (mode: number, owner: number) => {
      chownSync(path, owner, 0);
      chmodSync(path, mode);
      const { facts } = await agreed([path, "hold"]);
      return facts.executableTrusted;
    };
    expect(await trusted(0o755, 0)).toBe(true);
    expect(await trusted(0o775, 0)).toBe(false);
    expect(await trusted(0o755, NOBODY)).toBe(false);
  });

  describe("that is a script", () => {
    function script(path: string, interpreter: string): string {
      writeFileSync(path, `#!${interpreter}\n`);
      chmodSync(path, 0o755);
      return path;
    }

    test("is its interpreter, and the script as the kernel was given it", async () => {
      script(join(stage.folder, "plain"), `${stage.actor} hold`);
      const { facts } = await agreed(["sh", "-c", "exec ./plain one two"], { cwd: stage.folder });
      expect(facts.script).toBe("./plain");
      expect(facts.executable).toBe(stage.actor);
      expect(facts.args).toEqual([stage.actor, "hold", "./plain", "one", "two"]);
    });

    test("of a chain of scripts is the first, run by the last interpreter", async () => {
      const inner = script(join(stage.folder, "inner"), `${stage.actor} hold`);
      const outer = script(join(stage.folder, "outer"), inner);
      const { facts } = await agreed([outer]);
      expect(facts.script).toBe(outer);
      expect(facts.executable).toBe(stage.actor);
      expect(facts.args).toEqual([stage.actor, "hold", inner, outer]);
    });

    test("is none when an interpreter is run by its own name", async () => {
      const plain = script(join(stage.folder, "named"), stage.actor);
      const { facts } = await agreed([stage.actor, "hold", plain]);
      expect(facts.script).toBeUndefined();
    });
  });

  test("in memory is a memfd, whatever its name", async () => {
    const { facts } = await agreed([stage.actor, "memfd", "a /b", stage.actor, "hold"]);
    expect(facts.executable).toBe("memfd:a /b");
    expect(facts.executableMemfd).toBe(true);
    expect(facts.executableDeleted).toBe(false);
  });

  test("that was removed before it ran has its last path", async () => {
    const path = copied(join(stage.folder, "removed"));
    const { facts } = await agreed([stage.actor, "removed", path, "hold"]);
    expect(facts.executable).toBe(path);
    expect(facts.executableDeleted).toBe(true);
  });

  test("whose name only says that it was removed was not", async () => {
    const { facts } = await agreed([copied(join(stage.folder, "x (deleted) y")), "hold"]);
    expect(facts.executableDeleted).toBe(false);
  });

  test("in a chroot has its path on the host", async () => {
    const root = folder("root");
    copied(join(root, "inside"));
    const { facts } = await agreed([stage.actor, "chroot", root, "/inside", "hold"]);
    expect(facts.executable).toBe(join(root, "inside"));
    expect(facts.filename).toBe("/inside");
    expect(facts.cwd).toBe(root);
  });

  test("on a mount of its own namespace has its path there", async () => {
    const mount = folder("mounted");
    const script = `mount -t tmpfs none '${mount}' && mkdir '${mount}/sub' && cp '${stage.actor}' '${mount}/sub/x' && exec '${mount}/sub/x' hold`;
    const exec = await agreed(["unshare", "--mount", "sh", "-c", script]);
    expect(exec.facts.executable).toBe(`${mount}/sub/x`);
    const own = await agreed([stage.actor, "hold"]);
    expect(exec.facts.mountNamespace).not.toBe(own.facts.mountNamespace);
  });

  test("in a mount namespace that a user made lies at a path of his own choice, and only there", async () => {
    const own = join(stage.folder, "own");
    writeFileSync(own, "");
    const over = `mount --bind '${stage.actor}' '${own}' && exec '${own}' hold`;
    const users = await agreed(["unshare", "-Urm", "sh", "-c", over]);
    expect(users.facts).toMatchObject({ executable: own, userMounts: true });
    const roots = await agreed(["unshare", "--mount", "sh", "-c", over]);
    expect(roots.facts).toMatchObject({ executable: own, userMounts: false });
    const noMounts = await agreed(["unshare", "-Ur", stage.actor, "hold"]);
    expect(noMounts.facts.userMounts).toBe(false);
  });

  test("that is run from the host by way of such a namespace lies among a user's mounts too", async () => {
    const there = join(stage.folder, "there");
    writeFileSync(there, "");
    const over = `mount --bind '${stage.actor}' '${there}' && exec '${there}' hold`;
    await using inside = await Held.start(["unshare", "-Urm", "sh", "-c", over]);
    await using held = await Held.start([`/proc/${inside.pid}/root${there}`, "hold"]);
    expect(watch.exec(held.pid).facts).toMatchObject({ executable: there, userMounts: true });
  });

  test("in a mount that was taken away while it was open lies nowhere of the host's", async () => {
    const gone = folder("gone");
    const script = `mount -t tmpfs none '${gone}' && cp '${stage.actor}' '${gone}/x' && exec 9<'${gone}/x' &&
      umount -l '${gone}' && exec /proc/self/fd/9 hold`;
    await using held = await Held.start(["unshare", "--mount", "sh", "-c", script]);
    expect(watch.exec(held.pid).facts.userMounts).toBe(true);
    if (unified === undefined) return;
    // So deep that the programs give its path up.
    const top = `${unified}/tw-deep-${process.pid}`;
    const deep = `${top}${"/d".repeat(40)}`;
    mkdirSync(deep, { recursive: true });
    try {
      const there = `echo $$ > '${deep}/cgroup.procs' && ${script}`;
      await using far = await Held.start(["unshare", "--mount", "sh", "-c", there]);
      expect(watch.exec(far.pid).facts).toMatchObject({ userMounts: true, cgroup: undefined });
    } finally {
      for (let path = deep; path.length >= top.length; path = dirname(path)) rmdirSync(path);
    }
  });

  test("behind a bind mount, of a folder and of a file, has the path it was run by", async () => {
    const from = folder("bind-from/sub");
    copied(join(from, "x"));
    const to = folder("bind-to");
    writeFileSync(join(stage.folder, "bind-file"), "");
    const folderScript = `mount --bind '${stage.folder}/bind-from' '${to}' && exec '${to}/sub/x' hold`;
    expect((await agreed(["unshare", "--mount", "sh", "-c", folderScript])).facts.executable).toBe(
      `${to}/sub/x`,
    );
    const fileScript = `mount --bind '${from}/x' '${stage.folder}/bind-file' && exec '${stage.folder}/bind-file' hold`;
    expect((await agreed(["unshare", "--mount", "sh", "-c", fileScript])).facts.executable).toBe(
      `${stage.folder}/bind-file`,
    );
  });

  test("in a root of its own, as containers have it, has the path it has there", async () => {
    const root = folder("container");
    const script = `mount -t tmpfs none '${root}' && mkdir '${root}/old' '${root}/bin' && cp '${stage.actor}' '${root}/bin/x' &&
      cd '${root}' && pivot_root . old && exec /bin/x hold`;
    const { facts } = await agreed(["unshare", "--mount", "sh", "-c", script]);
    expect(facts.executable).toBe("/bin/x");
  });

  test("on an overlay has its path on the overlay", async () => {
    const base = folder("overlay");
    const script = `mount -t tmpfs none '${base}' && cd '${base}' && mkdir lower upper work merged && cp '${stage.actor}' lower/x &&
      mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && exec '${base}/merged/x' hold`;
    await using held = await Held.start(["unshare", "--mount", "sh", "-c", script]);
    expect(watch.exec(held.pid).facts.executable).toBe(`${base}/merged/x`);
  });

  test("in a pid namespace has the host's pids, and the namespace it is in", async () => {
    await using held = await Held.start(["unshare", "--pid", "--fork", "--kill-child", stage.actor, "hold"]);
    const fork = watch.drain().find((event) => event.kind === "fork" && event.parentPid === held.pid);
    const pid = fork?.kind === "fork" ? fork.pid : 0;
    const { facts } = watch.exec(pid);
    expect(facts.parentPid).toBe(held.pid);
    expect(compared(facts)).toEqual(compared(reader.read(pid)));
    expect(facts.pidNamespace).toBe(statSync(`/proc/${pid}/ns/pid`).ino);
    expect(facts.pidNamespace).not.toBe(watch.exec(held.pid).facts.pidNamespace);
  });

  test("with its set-user-id bit has both users", async () => {
    const path = copied(join(stage.folder, "setuid"));
    chmodSync(path, 0o4755);
    chmodSync(stage.folder, 0o755);
    const { facts } = await agreed([
      "setpriv",
      `--reuid=${NOBODY}`,
      "--regid=65534",
      "--clear-groups",
      path,
      "hold",
    ]);
    expect(facts.executableSetuid).toBe(true);
    expect(facts).toMatchObject({ uid: 0, realUid: NOBODY, gid: NOBODY });
  });

  test("on a terminal has its name", async () => {
    await using held = await Held.start(["script", "-qefc", `${stage.actor} hold`, "/dev/null"]);
    const execs = watch
      .drain()
      .filter((event) => event.kind === "exec" && event.facts.executable === stage.actor);
    const exec = execs.at(-1);
    if (exec?.kind !== "exec") throw new Error("no exec");
    expect(exec.facts.tty).toMatch(/^pts\/\d+$/);
    expect(exec.facts.tty).toBe(reader.read(exec.pid).tty ?? "");
    expect(held.pid).not.toBe(exec.pid);
  });

  const systemd = "/sys/fs/cgroup/systemd";

  async function inCgroup(path: string): Promise<ExecEvent> {
    mkdirSync(path);
    try {
      return await agreed(["sh", "-c", `echo $$ > '${path}/cgroup.procs' && exec '${stage.actor}' hold`]);
    } finally {
      rmdirSync(path);
    }
  }

  test.skipIf(unified === undefined)("in a control group has its path in the unified hierarchy", async () => {
    const name = `tw test ${process.pid}`;
    expect((await inCgroup(`${unified}/${name}`)).facts.cgroup).toBe(`/${name}`);
  });

  test.skipIf(!existsSync(`${systemd}/cgroup.procs`))(
    "or in systemd's, where the unified one says nothing",
    async () => {
      const name = `tw-test-${process.pid}`;
      expect((await inCgroup(`${systemd}/${name}`)).facts.cgroup).toBe(`/${name}`);
    },
  );
});
