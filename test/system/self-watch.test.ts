// What treewarden records of those who attack itself: the compiled binary, attacked by root.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pidOf } from "./live.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A run that knows the pids of all its processes: then it also measures what they cost. */
async function watching(flags: readonly string[] = []): Promise<Running> {
  const running = await Running.start(flags);
  await until("the warden knows the reporter", async () => {
    const resident = (await running.metrics()).value("treewarden_process_resident_memory_bytes", {
      process: "reporter",
    });
    return resident !== undefined && resident > 0;
  });
  return running;
}

/** What a shell does with kill(1), which is its own. */
function shell(script: string, uid = 0): number {
  const as = uid === 0 ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  return Bun.spawnSync([...as, "/bin/dash", "-c", script], { cwd: "/", stderr: "ignore" }).exitCode;
}

/** linux/netlink.h */
const NETLINK_CONNECTOR = "11";

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

const isOf = (name: string, fields: JsonRecord) => (record: JsonRecord) =>
  record["event.name"] === name && Object.entries(fields).every(([key, value]) => record[key] === value);
const selfRecords = (running: Running) =>
  running.records.filter((record) => String(record["event.name"]).startsWith("self."));

/** ptrace(2) with the numbers of sys/ptrace.h: attaches, does what `script` says, lets go. */
const TRACER = `
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
ATTACH, DETACH, GETREGS, SETREGS, SINGLESTEP, SEIZE = 16, 17, 12, 13, 9, 0x4206
# struct user_regs_struct of sys/user.h
WORDS, R10, R8, RAX, RDX, RSI, RDI, ORIGINAL, RIP, RSP = 27, 7, 9, 10, 12, 13, 14, 15, 16, 19
pid = int(sys.argv[1])
def trace(request, data=None):
    if libc.ptrace(request, pid, None, data) < 0: sys.exit(os.strerror(ctypes.get_errno()))
# The process waits in a system call, so the instruction before its next one is \`syscall\`.
def call(number, *arguments):
    before, regs = ctypes.create_string_buffer(8 * WORDS), ctypes.create_string_buffer(8 * WORDS)
    trace(GETREGS, before)
    words = list(struct.unpack("27Q", before.raw))
    words[RAX], words[ORIGINAL], words[RIP] = number, 2**64 - 1, words[RIP] - 2
    for place, argument in zip((RDI, RSI, RDX, R10, R8), arguments):
        words[place] = words[RSP] - 4096 if argument is None else argument
    regs.raw = struct.pack("27Q", *words)
    trace(SETREGS, regs)
    trace(SINGLESTEP)
    os.waitpid(pid, 0)
    trace(GETREGS, regs)
    result = struct.unpack("27q", regs.raw)[RAX]
    trace(SETREGS, before)
    if result != 0: sys.exit(f"system call {number}: {result}")
def close(fd): call(3, fd)
# setsockopt(2) with NETLINK_DROP_MEMBERSHIP of linux/netlink.h, for the group of process events.
def leave(fd):
    regs = ctypes.create_string_buffer(8 * WORDS)
    trace(GETREGS, regs)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(struct.unpack("27Q", regs.raw)[RSP] - 4096)
        memory.write(struct.pack("I", 1))
    call(54, fd, 270, 2, None, 4)
`;
const attach = "trace(ATTACH)\nos.waitpid(pid, 0)\n";
const detach = "trace(DETACH)\n";

function debug(pid: number, script: string): string {
  const { stdout, stderr } = Bun.spawnSync(["/usr/bin/python3", "-c", TRACER + script, String(pid)], {
    timeout: 30_000,
  });
  return stdout.toString() + stderr.toString();
}

describe.skipIf(reason !== undefined)("what others do to treewarden is recorded", () => {
  test("a process that is stopped and continued, with the signal, who sent it and from which tree", async () => {
    await using running = await watching();
    const pid = pidOf(running, "reporter");
    expect(shell(`kill -STOP ${pid}; kill -CONT ${pid}; :`)).toBe(0);
    const stopped = await running.seen(isOf("self.signaled", { "self.signal": "SIGSTOP" }));
    expect(stopped).toMatchObject({
      "self.process": "reporter",
      "self.by.user.id": 0,
      "self.by.pid": expect.any(Number),
      "policy.severity": "high",
      "self.by.executable": realpathSync("/bin/dash"),
    });
    expect(String(stopped["self.by.tree"])).toEndWith("/dash");
    await running.seen(isOf("self.signaled", { "self.signal": "SIGCONT" }));
    const counted = (await running.metrics()).value("treewarden_self_events_total", {
      event: "self.signaled",
    });
    expect(counted).toBe(2);
  }, 30_000);

  test("ten thousand signals are two records, and every one is counted", async () => {
    await using running = await watching();
    const pid = pidOf(running, "reporter");
    shell(`i=0; while [ $i -lt 10000 ]; do kill -CONT ${pid}; i=$((i+1)); done`);
    const counted = async () =>
      (await running.metrics()).value("treewarden_self_events_total", { event: "self.signaled" }) ?? 0;
    await until("all are counted", async () => (await counted()) === 10_000);
    await running.stop();
    const conts = running.records.filter(isOf("self.signaled", { "self.signal": "SIGCONT" }));
    expect(conts.map((record) => record["self.count"])).toEqual([1, 9_999]);
  }, 30_000);

  test("a user who may not send a signal leaves no record", async () => {
    await using running = await watching();
    expect(shell(`kill -STOP ${running.pid}`, 65_534)).not.toBe(0);
    expect(shell(`kill -CONT ${pidOf(running, "reporter")}; :`)).toBe(0);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGCONT" }));
    expect(selfRecords(running).length).toBe(1);
  }, 30_000);

  test("each process that is killed: who did it where a warden lives on, and that it was", async () => {
    await using running = await watching();
    shell(`kill -KILL ${pidOf(running, "reporter")}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGKILL", "self.process": "reporter" }));
    await running.seen(isOf("self.restarted", { "self.process": "reporter", "self.ended": "SIGKILL" }));
    shell(`kill -KILL ${pidOf(running, "warden")}; :`);
    await running.seen(isOf("self.restarted", { "self.process": "warden", "self.ended": "SIGKILL" }));
    shell(`kill -KILL ${running.pid}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGKILL", "self.process": "supervisor" }));
    await running.seen(isOf("self.restarted", { "self.process": "supervisor", "self.ended": "unknown" }));
    shell(`kill -TERM ${pidOf(running, "standby")}; :`);
  }, 40_000);

  test("who ordered it to stop, and nothing of its own commands' orders", async () => {
    await using running = await watching();
    const reload = [running.binary, "reload", "--state-dir", join(running.folder, "state")];
    expect(Bun.spawnSync(reload, { stdout: "ignore" }).exitCode).toBe(0);
    expect(await running.stop()).toBe(0);
    expect(selfRecords(running)).toMatchObject([
      { "event.name": "self.signaled", "self.process": "supervisor", "self.signal": "SIGTERM" },
    ]);
    expect(selfRecords(running)[0]).not.toHaveProperty("policy.severity");
  }, 30_000);

  test.concurrent("a debugger: at once where it stops the process, else within five seconds", async () => {
    await using running = await watching();
    const pid = pidOf(running, "reporter");
    expect(debug(pid, attach + detach)).toBe("");
    const traced = await running.seen(isOf("self.traced", { "self.process": "reporter" }), 2_000);
    expect(String(traced["self.by.executable"])).toContain("python3");
    expect(debug(pidOf(running, "standby"), "trace(SEIZE)\ntime.sleep(6)\n")).toBe("");
    await running.seen(isOf("self.traced", { "self.process": "standby" }));
  }, 40_000);

  test.concurrent("programs that are detached by a debugger in the warden: another warden attaches them again", async () => {
    if (process.arch !== "x64") return;
    await using running = await watching(["--source", "ebpf"]);
    const pid = pidOf(running, "warden");
    const links = readdirSync(`/proc/${pid}/fdinfo`).filter((fd) =>
      readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1").includes("link_type"),
    );
    expect(links.length).toBe(4);
    expect(debug(pid, attach + links.map((fd) => `close(${fd})\n`).join("") + detach)).toBe("");
    const detached = await running.seen(isOf("sensor.detached", {}), 15_000);
    expect(String(detached["error.message"])).toContain("tw_exec");
    await running.seen(isOf("self.restarted", { "self.process": "warden" }), 15_000);
    const before = running.records.filter(isOf("warden.started", {})).length;
    expect(before).toBeGreaterThan(0);
    shell(`kill -CONT ${pidOf(running, "reporter")}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGCONT" }), 15_000);
  }, 60_000);

  test.concurrent("sockets that no longer get the kernel's process events: another warden subscribes again", async () => {
    if (process.arch !== "x64") return;
    await using running = await watching(["--source", "netlink"]);
    const pid = pidOf(running, "warden");
    const netlink = new Set(
      readFileSync("/proc/net/netlink", "latin1")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter(([, protocol]) => protocol === NETLINK_CONNECTOR)
        .map((fields) => `socket:[${fields.at(-1)}]`),
    );
    const sockets = readdirSync(`/proc/${pid}/fd`).filter((fd) =>
      netlink.has(linkOf(`/proc/${pid}/fd/${fd}`)),
    );
    expect(sockets.length).toBe(2);
    expect(debug(pid, attach + sockets.map((fd) => `leave(${fd})\n`).join("") + detach)).toBe("");
    await running.seen(isOf("sensor.detached", {}), 40_000);
    await running.seen(isOf("self.restarted", { "self.process": "warden" }), 15_000);
  }, 80_000);

  test("a configuration, a policy and a key that are written, replaced or removed", async () => {
    const etc = join(folder, "etc");
    mkdirSync(etc);
    const [config, policy, key] = ["config.yaml", "web.json", "policy.pub"].map((name) => join(etc, name));
    if (config === undefined || policy === undefined || key === undefined) throw new Error("no paths");
    const role = (description: string) => JSON.stringify({ role: "shop", description, rules: [] });
    writeFileSync(policy, role("first"));
    writeFileSync(config, `policies: [${policy}]\n`);
    await using running = await watching(["--config", config]);
    writeFileSync(policy, role("second"));
    await running.seen(isOf("self.file_changed", { "self.file": policy, "self.change": "written" }));
    writeFileSync(`${config}.new`, `policies: [${policy}]\narmed: []\n`);
    renameSync(`${config}.new`, config);
    await running.seen(isOf("self.file_changed", { "self.file": config, "self.change": "replaced" }));
    rmSync(policy);
    await running.seen(isOf("self.file_changed", { "self.file": policy, "self.change": "removed" }));
    expect(selfRecords(running).every((record) => record["self.file"] !== `${config}.new`)).toBe(true);
  }, 30_000);
});
