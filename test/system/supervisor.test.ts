// The supervisor on a real kernel, compiled, over stand-ins for warden and reporter (supervisor-fixture.ts).
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  reporterEnvironment,
  supervisorEnvironment,
  wardenEnvironment,
} from "../../src/supervisor/environment.ts";
import { inherited } from "../../src/supervisor/inherited.ts";

const root = process.geteuid?.() === 0;
if (!root) console.error("supervisor: skipped, these tests need root to start the reporter as another user");

type Role = "supervisor" | "standby" | "warden" | "reporter" | "examiner";
const roles: readonly Role[] = ["supervisor", "standby", "warden", "reporter", "examiner"];

let folder = "";
let binary = "";
let directory = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "supervisor-test-"));
  binary = join(folder, "fixture");
  const source = join(import.meta.dir, "supervisor-fixture.ts");
  const flags = ["--compile", "--minify", "--bytecode", "--format=esm"];
  const build = Bun.spawnSync([process.execPath, "build", ...flags, source, "--outfile", binary], {
    cwd: folder,
  });
  expect(build.exitCode).toBe(0);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "supervisor-state-"));
  chmodSync(directory, 0o755);
});

afterEach(() => {
  for (const { pid } of processes()) process.kill(pid, "SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

function start(behaviour = "") {
  return Bun.spawn([binary, "run", directory, behaviour], { stdio: ["ignore", "ignore", "pipe"] });
}

/** The live processes of this test's run; a dead one that nobody has waited for has no command line any more. */
function processes(): { pid: number; role: Role }[] {
  const found: { pid: number; role: Role }[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = commandLine(Number(name));
    // Another treewarden of this host is none of ours.
    if (!words.join(" ").includes(directory)) continue;
    const role = roleOf(Number(name), words);
    if (role !== undefined) found.push({ pid: Number(name), role });
  }
  return found;
}

function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

function roleOf(pid: number, [program, command]: readonly string[]): Role | undefined {
  if (program !== "treewarden") return undefined;
  // A standby whose supervisor is gone has become the supervisor; the lock says so.
  if (command === "standby") return lockHolder() === pid ? "supervisor" : "standby";
  return roles.find((role) => role === command);
}

function lockHolder(): number {
  const lock = join(directory, "lock");
  return existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
}

function pids(): ReadonlyMap<Role, number> {
  return new Map(processes().map(({ role, pid }) => [role, pid]));
}

/** Milliseconds until `condition`, at most 3,000: more than anything here may take. */
async function until(condition: () => boolean): Promise<number> {
  const begin = performance.now();
  while (!condition() && performance.now() - begin < 3000) await Bun.sleep(5);
  return performance.now() - begin;
}

/** The pid of each role if there is one of each, and no more. */
function whole(): ReadonlyMap<Role, number> | undefined {
  const found = processes();
  const byRole = new Map(found.map(({ role, pid }) => [role, pid]));
  return found.length === roles.length && byRole.size === roles.length ? byRole : undefined;
}

function complete(): boolean {
  return whole() !== undefined;
}

/** True if there is one of each again, and another than `pid` as `role`. */
function replaced(role: Role, pid: number | undefined): boolean {
  const now = whole();
  return now !== undefined && now.get(role) !== pid;
}

function pidOf(role: Role): number {
  const pid = pids().get(role);
  if (pid === undefined) throw new Error(`there is no ${role}`);
  return pid;
}

interface Noted {
  readonly warden: number;
  readonly number: number;
}

/** No process holds the lock of the state directory. */
function isUnlocked(): boolean {
  return Bun.spawnSync(["flock", "--nonblock", join(directory, "lock"), "true"]).exitCode === 0;
}

/** What the reporter has noted, in the order in which it came. */
function noted(): readonly Noted[] {
  const path = join(directory, "report/noted");
  const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  return lines.map((line) => {
    const [warden = 0, number = 0] = line.split(" ").map(Number);
    return { warden, number };
  });
}

/** The sensor that each warden which was to crash was started with: "ebpf", or why not. */
function starts(): readonly string[] {
  const path = join(directory, "starts");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

/** The inode of a process's socket to the warden. */
function socketOf(pid: number): string {
  return readlinkSync(`/proc/${pid}/fd/${inherited.report}`);
}

/** Shuts down a descriptor of a process, as one does that has been allowed to copy it. */
function shutDown(pid: number, fd: number, how: string): void {
  const script = [
    "import ctypes, socket, sys",
    "pid, fd, how = int(sys.argv[1]), int(sys.argv[2]), getattr(socket, sys.argv[3])",
    "call = ctypes.CDLL(None).syscall",
    // pidfd_open(2), pidfd_getfd(2)
    "socket.socket(fileno=call(438, call(434, pid, 0), fd, 0)).shutdown(how)",
  ].join("\n");
  const done = Bun.spawnSync(["/usr/bin/python3", "-c", script, String(pid), String(fd), how]);
  expect(done.stderr.toString()).toBe("");
}

const lastNumber = 0xffff_ffff;

/** A signal to the supervisor, and the time until nothing of the run is left. */
async function stopBy(signal: NodeJS.Signals): Promise<number> {
  process.kill(pidOf("supervisor"), signal);
  return await until(() => processes().length === 0);
}

describe.skipIf(!root)("a run", () => {
  test("is a supervisor, its standby, a warden, an examiner and a reporter that is not root", async () => {
    start();
    expect(await until(complete)).toBeLessThan(2000);
    expect(statSync(`/proc/${pidOf("warden")}`).uid).toBe(0);
    expect(statSync(`/proc/${pidOf("reporter")}`).uid).not.toBe(0);
  });

  test("ends by SIGTERM in order, with exit code 0: what the warden sent last has arrived", async () => {
    const run = start();
    await until(complete);
    const warden = pidOf("warden");
    await until(() => noted().length > 3);
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
    expect(await run.exited).toBe(0);
    expect(noted().at(-1)).toEqual({ warden, number: lastNumber });
  });

  test("hands SIGHUP and SIGUSR1 on as orders", async () => {
    start();
    await until(complete);
    process.kill(pidOf("supervisor"), "SIGHUP");
    const orders = join(directory, "warden.orders");
    const ofReporter = join(directory, "report/orders");
    await until(() => existsSync(orders) && existsSync(ofReporter));
    process.kill(pidOf("supervisor"), "SIGUSR1");
    await until(() => [orders, ofReporter].every((path) => readFileSync(path, "utf8").includes("request")));
    expect(readFileSync(orders, "utf8")).toBe("reload\nrequest\n");
    expect(readFileSync(ofReporter, "utf8")).toBe("reload\nrequest\n");
  });

  test("gives each process its own environment, and none of the caller's secrets", async () => {
    const environment = { OTEL_SERVICE_NAME: "x", BUN_OPTIONS: "--smol", SECRET: "y" };
    Bun.spawn([binary, "run", directory], { env: environment, stdio: ["ignore", "ignore", "ignore"] });
    await until(complete);
    const listed = (variables: Record<string, string>): string =>
      Object.entries(variables)
        .map(([name, value]) => `${name}=${value}\0`)
        .join("");
    expect(readFileSync(`/proc/${pidOf("warden")}/environ`, "utf8")).toBe(listed(wardenEnvironment({})));
    expect(readFileSync(`/proc/${pidOf("reporter")}/environ`, "utf8")).toBe(listed(reporterEnvironment({})));
    expect(readFileSync(`/proc/${pidOf("standby")}/environ`, "utf8")).toBe(listed(supervisorEnvironment({})));
  });

  test("shows a process's role and the run on its command line, and nothing else", async () => {
    start("not for everybody");
    await until(complete);
    const first = pidOf("supervisor");
    process.kill(first, "SIGKILL");
    await until(() => replaced("supervisor", first));
    for (const { pid } of processes()) {
      const [program, command, run, descriptor, ...rest] = commandLine(pid);
      expect([program, run, rest]).toEqual(["treewarden", directory, [""]]);
      expect(command).toMatch(/^(?:supervisor|standby|warden|reporter|examiner)$/);
      expect(descriptor).toMatch(/^\d+$/);
    }
  });

  test("ends with the warden's exit code 2 if the first warden refuses", async () => {
    const run = start("refuse");
    expect(await run.exited).toBe(2);
    expect(processes()).toEqual([]);
  });

  test("ends with 3 if the first reporter may not become its user", async () => {
    const run = Bun.spawn(["setpriv", "--bounding-set=-setuid", binary, "run", directory]);
    expect(await run.exited).toBe(3);
    expect(processes()).toEqual([]);
  });

  test("kills a warden that does not end when told, and still ends within 2 s", async () => {
    const run = start("deaf");
    await until(complete);
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
    expect(await run.exited).toBe(0);
  });

  test("ends at once by a second SIGTERM", async () => {
    start("deaf");
    await until(complete);
    process.kill(pidOf("supervisor"), "SIGTERM");
    await Bun.sleep(100);
    expect(await stopBy("SIGTERM")).toBeLessThan(500);
  });
});

describe.skipIf(!root)("a second run on the same state directory", () => {
  test("ends with 2 and says who is there", async () => {
    start();
    await until(complete);
    const holder = pidOf("supervisor");
    const second = start();
    expect(await second.exited).toBe(2);
    expect(await second.stderr.text()).toBe(
      `treewarden: another treewarden (pid ${holder}) runs on ${directory}\n`,
    );
    expect(pidOf("supervisor")).toBe(holder);
  });

  test("is still refused after the standby took over", async () => {
    start();
    await until(complete);
    const first = pidOf("supervisor");
    process.kill(first, "SIGKILL");
    await until(() => replaced("supervisor", first));
    const second = start();
    expect(await second.exited).toBe(2);
    expect(await second.stderr.text()).toContain(`pid ${pidOf("supervisor")}`);
  });

  test("is welcome after the first has ended", async () => {
    start();
    await until(complete);
    await stopBy("SIGTERM");
    // A process that ends has no command line any more some time before the kernel closes its descriptors.
    await until(isUnlocked);
    start();
    expect(await until(complete)).toBeLessThan(2000);
  });
});

describe.skipIf(!root)("a warden that asks for a successor", () => {
  test("is replaced by it, which gets the orders from then on and goes on when the supervisor dies", async () => {
    start("successor");
    await until(complete);
    const before = pidOf("warden");
    process.kill(pidOf("supervisor"), "SIGHUP");
    await until(() => replaced("warden", before));
    const successor = pidOf("warden");
    await until(() => noted().some(({ warden }) => warden === successor));
    const standby = pidOf("standby");
    process.kill(pidOf("supervisor"), "SIGKILL");
    await until(() => replaced("standby", standby));
    expect(pidOf("warden")).toBe(successor);
    const orders = join(directory, "warden.orders");
    // The next supervisor cannot know whether the dead one had told the successor to proceed.
    expect(readFileSync(orders, "utf8")).toMatch(/^reload\nstop\n(proceed\n)?$/);
    process.kill(pidOf("supervisor"), "SIGUSR1");
    await until(() => readFileSync(orders, "utf8").endsWith("request\n"));
    // What the first one sent last has arrived, and the second one goes on.
    expect(noted().find(({ warden, number }) => warden === before && number === lastNumber)).toBeDefined();
    expect(noted().at(-1)?.warden).toBe(successor);
  });

  test("is stopped and started again if its successor cannot start", async () => {
    start("successor refuses");
    await until(complete);
    const before = pidOf("warden");
    process.kill(pidOf("supervisor"), "SIGHUP");
    await until(() => replaced("warden", before));
    expect(readFileSync(join(directory, "warden.orders"), "utf8")).toBe("reload\nstop\n");
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
  });
});

describe.skipIf(!root)("when a process dies", () => {
  test("a SIGTERM that comes right after a process has ended stops the run, whenever it comes", async () => {
    for (const ms of [0, 1, 2, 5, 10, 20, 40]) {
      const run = start();
      await until(complete);
      process.kill(pidOf("examiner"), "SIGKILL");
      await Bun.sleep(ms);
      process.kill(run.pid, "SIGTERM");
      expect(await run.exited).toBe(0);
      expect(await until(() => processes().length === 0)).toBeLessThan(1000);
    }
  });

  test("an examiner is replaced, and nobody else", async () => {
    start();
    await until(complete);
    const before = pids();
    const examiner = pidOf("examiner");
    process.kill(examiner, "SIGKILL");
    expect(await until(() => replaced("examiner", examiner))).toBeLessThan(1000);
    for (const role of ["warden", "reporter", "supervisor"] as const)
      expect(pidOf(role)).toBe(before.get(role) ?? 0);
  });

  test("an examiner that is stopped does not keep the run from ending", async () => {
    start();
    await until(complete);
    process.kill(pidOf("examiner"), "SIGSTOP");
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
  });

  test("a warden that hangs is killed and replaced", async () => {
    const run = start("hang");
    await until(() => existsSync(join(directory, "hung")));
    const hung = pidOf("warden");
    await until(() => replaced("warden", hung));
    expect(pidOf("warden")).not.toBe(hung);
    await stopBy("SIGTERM");
    expect(await run.stderr.text()).toContain(
      "the warden has not come back to its poll for 400 ms, and it sleeps; killing it",
    );
  });

  test("an examiner that waits for a file system that does not answer is killed and replaced", async () => {
    const run = start("examiner hangs");
    await until(() => existsSync(join(directory, "hung")));
    const [hung, warden] = [pidOf("examiner"), pidOf("warden")];
    expect(await until(() => replaced("examiner", hung))).toBeLessThan(2000);
    expect(pidOf("warden")).toBe(warden);
    await stopBy("SIGTERM");
    expect(await run.stderr.text()).toContain(
      "the examiner has not come back to its poll for 400 ms, and it sleeps",
    );
  });

  test("a warden in an endless loop is killed and replaced", async () => {
    const run = start("spin");
    await until(() => existsSync(join(directory, "hung")));
    const hung = pidOf("warden");
    expect(await until(() => replaced("warden", hung))).toBeLessThan(3000);
    await stopBy("SIGTERM");
    expect(await run.stderr.text()).toMatch(
      /for \d+ ms, and it has used \d+ ms of CPU meanwhile; killing it/,
    );
  });

  test("a reporter in an endless loop is killed and replaced, and nobody else", async () => {
    const run = start("reporter spins");
    await until(() => existsSync(join(directory, "report/spun")));
    const [spinning, warden] = [pidOf("reporter"), pidOf("warden")];
    expect(await until(() => replaced("reporter", spinning))).toBeLessThan(3000);
    expect(pidOf("warden")).toBe(warden);
    await stopBy("SIGTERM");
    expect(await run.stderr.text()).toContain("the reporter has not come back to its poll");
  });

  test("a warden that gets no CPU, because other programs take it, is left alone and says so", async () => {
    // All on one CPU; a turn of this warden needs 60 ms of it, of which it gets some hundredths.
    const run = Bun.spawn(["taskset", "-c", "0", binary, "run", directory, "busy"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    await until(complete);
    const before = pids();
    // The strongest nice value within the session, and for the session where the scheduler groups by it.
    const script = "echo -20 > /proc/self/autogroup; while :; do :; done";
    const loop = ["taskset", "-c", "0", "setsid", "nice", "-n", "-20", "sh", "-c", script];
    const loops = Array.from({ length: 5 }, () => Bun.spawn(loop, { stderr: "ignore" }));
    await Bun.sleep(5000);
    for (const each of loops) each.kill("SIGKILL");
    expect(pids()).toEqual(before);
    await stopBy("SIGTERM");
    const text = await run.stderr.text();
    expect(text).not.toContain("killing it");
    expect(text).toMatch(/the (warden|reporter) has not come back .* other programs take it; waiting/);
  }, 20_000);

  test("a warden that crashes three times in a row at its start is started without eBPF, with a word", async () => {
    const run = start("crash");
    await until(() => starts().length === 4);
    await until(complete);
    const why = "the warden crashed 3 times in a row soon after its start, last by SIG";
    expect(starts()).toEqual(["ebpf", "ebpf", "ebpf", expect.stringContaining(why)]);
    await stopBy("SIGTERM");
    expect(await run.stderr.text()).toContain(`${starts()[3]}; it is started without eBPF`);
  });

  test("a warden whose sensor was chosen keeps it, however often it crashes", async () => {
    start("crash with ebpf");
    await until(() => starts().length >= 5);
    expect(new Set(starts())).toEqual(new Set(["ebpf"]));
  });

  test("a new reporter gets a new socket, on which the warden goes on in order", async () => {
    start();
    await until(complete);
    const warden = pidOf("warden");
    const sockets = new Set([socketOf(pidOf("reporter"))]);
    for (let i = 0; i < 3; i += 1) {
      const reporter = pidOf("reporter");
      process.kill(reporter, "SIGKILL");
      await until(() => replaced("reporter", reporter));
      sockets.add(socketOf(pidOf("reporter")));
      const sent = noted().length;
      await until(() => noted().length > sent + 3);
    }
    await stopBy("SIGTERM");
    expect(sockets.size).toBe(4);
    const numbers = noted().map((each) => (each.warden === warden ? each.number : -1));
    expect(numbers.at(-1)).toBe(lastNumber);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(existsSync(join(directory, "shutdowns"))).toBe(false);
  });

  test("the capabilities of the systemd unit are enough to go on after the supervisor's death", async () => {
    const unit = readFileSync(join(import.meta.dir, "../../packaging/systemd/treewarden.service"), "utf8");
    const set = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.toLowerCase().replaceAll("cap_", "+") ?? "";
    const limited = ["setpriv", "--no-new-privs", `--bounding-set=-all,${set.trim().split(/\s+/).join(",")}`];
    Bun.spawn([...limited, binary, "run", directory], { stdio: ["ignore", "ignore", "ignore"] });
    await until(complete);
    const before = pids();
    process.kill(pidOf("supervisor"), "SIGKILL");
    await until(() => replaced("standby", before.get("standby")));
    for (const role of ["warden", "reporter", "examiner"] as const)
      expect(pidOf(role)).toBe(before.get(role) ?? 0);
    expect(await stopBy("SIGTERM")).toBeLessThan(1000);
  });

  test("links that were shut down are reported and replaced: the reporter's, the examiner's, the warden's", async () => {
    const run = start();
    await until(complete);
    const links = [
      ["reporter", inherited.report],
      ["reporter", inherited.control],
      ["examiner", inherited.warden],
      ["examiner", inherited.control],
      ["warden", inherited.control],
    ] as const;
    for (const [role, fd] of links) {
      // One direction alone, and both.
      for (const how of ["SHUT_RD", "SHUT_WR", "SHUT_RDWR"]) {
        const before = pids();
        const victim = pidOf(role);
        shutDown(victim, fd, how);
        expect(await until(() => replaced(role, victim))).toBeLessThan(1500);
        for (const other of ["warden", "reporter", "examiner", "supervisor"] as const)
          if (other !== role) expect(pidOf(other)).toBe(before.get(other) ?? 0);
        const sent = noted().length;
        await until(() => noted().length > sent + 3);
        expect(noted().length).toBeGreaterThan(sent + 3);
      }
    }
    expect(readFileSync(join(directory, "shutdowns"), "utf8")).toBe(
      "reporter\n".repeat(6) + "examiner\n".repeat(3),
    );
    await stopBy("SIGTERM");
    const text = await run.stderr.text();
    expect(text.match(/the link between \w+ and \w+ was shut down; replacing it/g)).toHaveLength(15);
  }, 60_000);

  test("a standby knows of links that were replaced after its start: children go on when it takes over", async () => {
    start();
    await until(complete);
    for (const role of ["reporter", "warden", "examiner"] as const) {
      const pid = pidOf(role);
      process.kill(pid, "SIGKILL");
      await until(() => replaced(role, pid));
    }
    await Bun.sleep(50);
    const before = pids();
    process.kill(pidOf("supervisor"), "SIGKILL");
    await until(() => replaced("standby", before.get("standby")));
    for (const role of ["warden", "reporter", "examiner"] as const)
      expect(pidOf(role)).toBe(before.get(role) ?? 0);
    const sent = noted().length;
    await until(() => noted().length > sent + 3);
    expect(noted().length).toBeGreaterThan(sent + 3);
    await Bun.sleep(1100);
    expect(pidOf("reporter")).toBe(before.get("reporter") ?? 0);
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
  });

  test("a standby that does not read its updates is replaced by one that has all of them", async () => {
    start();
    await until(complete);
    const standby = pidOf("standby");
    process.kill(standby, "SIGSTOP");
    // Each child that is started again has new links, of which the standby is to know.
    for (let i = 0; i < 200 && pids().get("standby") === standby; i += 1) {
      const before = pids();
      const children = (["reporter", "examiner"] as const).filter((role) => before.has(role));
      for (const role of children) process.kill(before.get(role) ?? 0, "SIGKILL");
      await until(() => {
        const now = pids();
        return children.every((role) => (now.get(role) ?? before.get(role)) !== before.get(role));
      });
    }
    await until(() => replaced("standby", standby));
    const before = pids();
    process.kill(pidOf("supervisor"), "SIGKILL");
    await until(() => replaced("standby", before.get("standby")));
    for (const role of ["warden", "reporter", "examiner"] as const)
      expect(pidOf(role)).toBe(before.get(role) ?? 0);
  }, 300_000);

  test("without any supervisor left, the others end by themselves", async () => {
    start();
    await until(complete);
    const [supervisor, standby] = [pidOf("supervisor"), pidOf("standby")];
    process.kill(standby, "SIGSTOP");
    process.kill(supervisor, "SIGKILL");
    process.kill(standby, "SIGKILL");
    expect(await until(() => processes().length === 0)).toBeLessThan(1000);
  });

  test("a child and the supervisor killed in the same moment: one of each comes back, and only one", async () => {
    start();
    await until(complete);
    for (let i = 0; i < 12; i += 1) {
      const before = pids();
      const victim = i % 2 === 0 ? "warden" : "reporter";
      const supervisor = pidOf("supervisor");
      process.kill(pidOf(victim), "SIGKILL");
      // From before the supervisor has noticed to after it has started another.
      Bun.sleepSync((i >> 1) / 2);
      process.kill(supervisor, "SIGKILL");
      const back = () => replaced("supervisor", supervisor) && replaced(victim, before.get(victim));
      // Within a second on a machine that has nothing else to do, see the median of the kills at random.
      expect(await until(back)).toBeLessThan(3000);
      // A second one, started by the dying supervisor, would be there by now, and ended one second later.
      await Bun.sleep(20);
    }
    await Bun.sleep(1100);
    expect(complete()).toBe(true);
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
  }, 30_000);

  test("30 kills at random: the others go on, the dead one is back within a second, nothing is left over", async () => {
    start();
    await until(complete);
    let slowest = 0;
    for (let i = 0; i < 30; i += 1) {
      const before = pids();
      const victim = roles[Math.floor(Math.random() * roles.length)] ?? "warden";
      process.kill(pidOf(victim), "SIGKILL");
      // A supervisor's place is taken by the standby, whose place is filled anew.
      const filled = victim === "supervisor" ? "standby" : victim;
      const took = await until(() => replaced(filled, before.get(filled)));
      slowest = Math.max(slowest, took);
      for (const role of ["warden", "reporter", "examiner"] as const) {
        if (role !== victim) expect(pidOf(role)).toBe(before.get(role) ?? 0);
      }
      await Bun.sleep(Math.random() * 60);
    }
    expect(slowest).toBeLessThan(1000);
    const sent = noted().length;
    await until(() => noted().length > sent + 3);
    expect(noted().length).toBeGreaterThan(sent);
    const descriptors = readdirSync(`/proc/${pidOf("supervisor")}/fd`).length;
    // Links, and what it keeps of the sensor. Each kill that left one behind would add 30.
    expect(descriptors).toBeLessThan(60);
    expect(await stopBy("SIGTERM")).toBeLessThan(2000);
    expect(processes()).toEqual([]);
  }, 60_000);
});
