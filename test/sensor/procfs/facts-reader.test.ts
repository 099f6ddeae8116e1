import { afterAll, expect, spyOn, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessFolder, procEntry } from "../../../src/linux/proc/read.ts";
import { encodeText } from "../../../src/linux/text.ts";
import type { ProcessFacts } from "../../../src/sensor/event.ts";
import { FactsReader, factsFromEvents, nothingKnown } from "../../../src/sensor/procfs/facts-reader.ts";
import { scanProcesses } from "../../../src/sensor/procfs/scan.ts";

const folder = mkdtempSync(join(tmpdir(), "facts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const sleep = realpathSync(Bun.which("sleep") ?? "/bin/sleep");

/** A process that runs `command`, read once its exec is through. */
async function read(
  command: string[],
  options: { cwd?: string; reader?: FactsReader; isReady?: (facts: ProcessFacts) => boolean } = {},
) {
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? "/",
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
  });
  using own = new FactsReader();
  const reader = options.reader ?? own;
  try {
    await Bun.sleep(20);
    const { isReady } = options;
    for (let tries = 0; isReady !== undefined && !isReady(reader.read(child.pid)); tries += 1) {
      if (tries > 1_000) throw new Error("the program is not running after 20 s");
      await Bun.sleep(20);
    }
    return { pid: child.pid, facts: reader.read(child.pid), stat: reader.stat };
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

test("a running process has everything but what only the kernel's event could tell", async () => {
  const { facts } = await read([sleep, "100"], { cwd: folder });
  const file = statSync(sleep);
  expect(facts).toMatchObject({
    parentPid: process.pid,
    executable: sleep,
    executableDeleted: false,
    executableMemfd: false,
    executableSetuid: false,
    filename: undefined,
    script: undefined,
    args: [sleep, "100"],
    argsTruncated: false,
    cwd: realpathSync(folder),
    uid: process.geteuid?.(),
    realUid: process.getuid?.(),
    gid: process.getegid?.(),
    device: file.dev,
    inode: file.ino,
  });
  expect(facts.executableAge).toBeCloseTo((Date.now() - file.ctimeMs) / 1000, -1);
  expect(facts.cgroup).toStartWith("/");
  expect(facts.loginUid === null || typeof facts.loginUid === "number").toBe(true);
  expect(facts.tty === null || typeof facts.tty === "string").toBe(true);
});

test("a process that nobody has gives what was known and nothing else", () => {
  using reader = new FactsReader();
  const known = { startTicks: 5, seenTicks: 6, parentPid: 7, uid: 8, realUid: 9 };
  const facts = reader.read(2 ** 22 + 1, known);
  expect(facts).toMatchObject({ startTicks: 5, parentPid: 7, uid: 8, realUid: 9, argsTruncated: false });
  expect(facts.args).toBeUndefined();
  expect(facts.executable).toBeUndefined();
  expect(reader.stat).toBeUndefined();
});

test("of a later process with the same pid nothing is given", () => {
  using reader = new FactsReader();
  const mine = reader.read(process.pid).startTicks ?? 0;
  const known = {
    startTicks: undefined,
    seenTicks: mine - 1,
    parentPid: undefined,
    uid: undefined,
    realUid: undefined,
  };
  expect(reader.read(process.pid, known).args).toBeUndefined();
  expect(reader.read(process.pid, { ...known, seenTicks: mine }).args).not.toBeUndefined();
});

test("a zombie has an unknown program, not an empty one", async () => {
  // It ends when its parent is a program that waits for nobody.
  const child = Bun.spawn(["sh", "-c", "sleep 0.3 & echo $!; exec sleep 100"], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const pid = Number(new TextDecoder().decode(value));
  using reader = new FactsReader();
  let facts = reader.read(pid);
  for (let i = 0; i < 500 && reader.stat?.state !== "Z"; i += 1) {
    await Bun.sleep(10);
    facts = reader.read(pid);
  }
  child.kill("SIGKILL");
  await child.exited;
  expect(reader.stat?.state).toBe("Z");
  expect(facts.args).toBeUndefined();
  expect(facts.executable).toBeUndefined();
  expect(facts.parentPid).toBe(child.pid);
});

test("arguments keep blanks, newlines and emptiness", async () => {
  const script = "sleep 100 # a\nb";
  const { facts } = await read(["sh", "-c", `${script}; :`, "", "two words", "(x) Z 1"]);
  expect(facts.args).toEqual(["sh", "-c", `${script}; :`, "", "two words", "(x) Z 1"]);
});

test("arguments beyond the limit are cut and marked", async () => {
  const long = "x".repeat(100_000);
  const { facts } = await read(["sh", "-c", "sleep 100; :", long]);
  expect(facts.argsTruncated).toBe(true);
  expect(facts.args?.slice(0, 3)).toEqual(["sh", "-c", "sleep 100; :"]);
  expect(encodeText((facts.args ?? []).join("\0")).length).toBe(4096);
});

test("arguments of exactly the limit are whole", async () => {
  const fill = "x".repeat(4096 - "sh -c sleep 100; : ".length - 1);
  const { facts } = await read(["sh", "-c", "sleep 100; :", fill]);
  expect(facts.argsTruncated).toBe(false);
  expect(facts.args?.[3]).toBe(fill);
});

test("a limit of the caller's is kept", async () => {
  using reader = new FactsReader({ argumentBytes: 5 });
  const { facts } = await read([sleep, "100"], { reader });
  expect(facts.args).toEqual([sleep.slice(0, 5)]);
  expect(facts.argsTruncated).toBe(true);
});

test("a deleted executable keeps its path and is marked", async () => {
  const copy = join(realpathSync(folder), "gone (deleted)");
  copyFileSync(sleep, copy);
  const child = Bun.spawn([copy, "100"]);
  await Bun.sleep(20);
  unlinkSync(copy);
  using reader = new FactsReader();
  const facts = reader.read(child.pid);
  child.kill("SIGKILL");
  await child.exited;
  expect(facts).toMatchObject({ executable: copy, executableDeleted: true, executableMemfd: false });
});

test("a name of bytes that are not UTF-8 loses nothing", async () => {
  const name = Buffer.concat([
    Buffer.from(`${realpathSync(folder)}/`),
    Buffer.from([0xff, 0x0a, 0x29, 0x20, 0x5a]),
  ]);
  copyFileSync(sleep, name);
  const launcher = join(folder, "launch.sh");
  writeFileSync(launcher, Buffer.concat([Buffer.from("exec '"), name, Buffer.from("' 100\n")]));
  const { facts, stat } = await read(["sh", launcher]);
  expect(Buffer.from(encodeText(facts.executable ?? "")).equals(name)).toBe(true);
  expect(stat?.comm).toBe("\udcff\n) Z");
});

test("a path longer than the kernel gives is unknown, the rest is not", async () => {
  // A shell's cd goes no deeper than PATH_MAX; the name of the program itself makes the rest.
  const name = "0".repeat(200);
  const script = `
    cd "$1"; i=0
    while [ $i -lt 19 ]; do mkdir ${name} && cd ${name} || exit 1; i=$((i + 1)); done
    cp "$2" ${name} && cp "$2" 1${name} && exec ./1${name} 100`;
  const deep = join(realpathSync(folder), "d".repeat(4096 - 19 * 201 - 200 - realpathSync(folder).length));
  mkdirSync(deep);
  const { facts } = await read(["sh", "-c", script, "sh", deep, sleep], {
    isReady: ({ args }) => args?.[0]?.startsWith("./1") === true,
  });
  expect(facts.args).toEqual([`./1${name}`, "100"]);
  expect(facts.executable).toBeUndefined();
  expect(facts.inode).toBeGreaterThan(0);
});

test("the mount namespace is that of the link", () => {
  using reader = new FactsReader();
  expect(reader.read(process.pid).mountNamespace).toBe(statSync("/proc/self/ns/mnt").ino);
});

test("threads of a group are counted", () => {
  using reader = new FactsReader();
  expect(reader.threads(process.pid)).toBeGreaterThan(1);
  expect(reader.threads(2 ** 22 + 1)).toBe(0);
});

test("reading many processes leaves no descriptor open", () => {
  using reader = new FactsReader();
  const open = () => scanDescriptors();
  const before = open();
  for (let i = 0; i < 100; i += 1) {
    reader.read(process.pid);
    reader.read(2 ** 22 + 1);
    reader.threads(process.pid);
  }
  // The runtime may close some of its own meanwhile.
  expect(open()).toBeLessThanOrEqual(before);
});

function scanDescriptors(): number {
  return [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
}

test("a scan finds this process, its parent, and tells kernel threads apart", () => {
  using reader = new FactsReader();
  const found = new Map(scanProcesses(reader).map((each) => [each.pid, each]));
  const self = found.get(process.pid);
  expect(self?.kernelThread).toBe(false);
  expect(self?.threads).toBeGreaterThan(1);
  expect(self?.leaderEnded).toBe(false);
  expect(self?.facts.parentPid).toBe(process.ppid);
  expect(found.get(1)).toBeDefined();
  for (const each of found.values()) {
    if (each.kernelThread) expect(each.facts.executable).toBeUndefined();
  }
});

test.skipIf(process.getuid?.() !== 0)(
  "mounts of a user namespace are a user's, all others are not",
  async () => {
    const runsSleep = ({ executable }: ProcessFacts) => executable === sleep;
    const unshared = (...flags: string[]) => ["unshare", ...flags, sleep, "100"];
    expect((await read([sleep, "100"])).facts.userMounts).toBe(false);
    const service = await read(unshared("--mount"), { isReady: runsSleep });
    expect(service.facts).toMatchObject({ executable: sleep, userMounts: false });
    const user = await read(unshared("--user", "--map-root-user", "--mount"), { isReady: runsSleep });
    expect(user.facts).toMatchObject({ executable: sleep, userMounts: true });
  },
);

test("of a process that has ended before it was read, only what events told is known", async () => {
  using reader = new FactsReader();
  const child = Bun.spawn([sleep, "0"]);
  await child.exited;
  const known = { startTicks: 5, seenTicks: 6, parentPid: 7, uid: 8, realUid: 9 };
  expect(reader.read(child.pid, known, true)).toEqual(factsFromEvents(known));
});

test.each([
  ["whom /proc named before", undefined, 1_001],
  ["whom events named", 1_002, 1_002],
  // Who was root at his exec may have become a user, who would then use up root's share.
  ["nobody, if events named root", 0, undefined],
])(
  "a process that ends while its arguments are read is charged to %s",
  async (_who, toldRealUid, charged) => {
    const root = mkdtempSync(join(folder, "proc-"));
    const pid = 4_711;
    const itsFolder = join(root, String(pid));
    mkdirSync(itsFolder, { recursive: true });
    const status = readFileSync("/proc/self/status", "latin1");
    writeFileSync(join(itsFolder, "status"), status.replace(/^Uid:.*$/m, "Uid:\t1001\t1001\t1001\t1001"));
    // Its memory lives on, so that the read hangs: a pipe in which nothing is, whose other end is opened with this one.
    Bun.spawnSync(["mkfifo", join(itsFolder, "cmdline")]);
    const other = Bun.spawn(["sh", "-c", "exec 3> cmdline && rm status && exec sleep 60"], {
      cwd: itsFolder,
    });
    try {
      const unreadable: unknown[] = [];
      using reader = new FactsReader({ root, onUnreadable: (...process) => unreadable.push(process) });
      // A scan waits for 50 ms, which is enough for the shell to remove the file.
      const known = toldRealUid === undefined ? undefined : { ...nothingKnown, realUid: toldRealUid };
      if (known !== undefined) {
        // Opening the pipe waits for its other end, and that is all that is done before the process ends.
        const gone = Bun.spawn(["sh", "-c", "until [ ! -e status ]; do sleep 0.01; done"], {
          cwd: itsFolder,
        });
        closeSync(openSync(join(itsFolder, "cmdline"), "r"));
        await gone.exited;
      }
      reader.read(pid, known);
      expect(unreadable).toEqual([[pid, charged]]);
    } finally {
      other.kill("SIGKILL");
      await other.exited;
    }
  },
);

test("how it was started is read, of other users' processes too", async () => {
  using reader = new FactsReader();
  const asOther = ["setpriv", "--reuid=65534", "--clear-groups"];
  for (const prefix of process.getuid?.() === 0 ? [[], asOther] : [[]]) {
    const child = Bun.spawn([...prefix, sleep, "60"], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    try {
      await Bun.sleep(100);
      expect(reader.invocation(child.pid)).toMatchObject({
        startTicks: expect.any(Number),
        args: [sleep, "60"],
      });
      expect(reader.read(child.pid).args).toEqual([sleep, "60"]);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  }
});

test("a scan reads `status` once of each process, before all that may wait for a lock", () => {
  using reader = new FactsReader();
  using reads = spyOn(ProcessFolder.prototype, "read");
  const { realUid } = reader.read(process.pid);
  const entries = reads.mock.calls.map(([entry]) => entry);
  expect(realUid).toBe(process.getuid?.());
  expect(entries.filter((entry) => entry === procEntry.status)).toHaveLength(1);
  expect(entries.indexOf(procEntry.status)).toBe(0);
});
