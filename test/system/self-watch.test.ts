// What treewarden records of those who attack itself: the compiled binary, attacked by root.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { endOf, pidOf } from "./live.ts";
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

const isOf = (name: string, fields: JsonRecord) => (record: JsonRecord) =>
  record["event.name"] === name && Object.entries(fields).every(([key, value]) => record[key] === value);
/** What the journal has of it, also when the run has ended. */
function journaled(running: Running): readonly JsonRecord[] {
  const state = join(running.folder, "state");
  const { stdout } = Bun.spawnSync([running.binary, "events", "--output", "json", "--state-dir", state]);
  const lines = stdout.toString().split("\n");
  return lines.filter((line) => line.includes('"self.')).map((line) => JSON.parse(line));
}

/** ptrace(2) with the numbers of sys/ptrace.h: attaches, does what `script` says, lets go. */
const TRACER = `
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
ATTACH, DETACH, GETREGS, SETREGS, SINGLESTEP, SEIZE = 16, 17, 12, 13, 9, 0x4206
# struct user_regs_struct of sys/user.h
WORDS, RAX, RDI, ORIGINAL, RIP = 27, 10, 14, 15, 16
pid = int(sys.argv[1])
def trace(request, data=None):
    if libc.ptrace(request, pid, None, data) < 0: sys.exit(os.strerror(ctypes.get_errno()))
# The process waits in a system call, so the instruction before its next one is \`syscall\`.
def close(fd):
    before, regs = ctypes.create_string_buffer(8 * WORDS), ctypes.create_string_buffer(8 * WORDS)
    trace(GETREGS, before)
    words = list(struct.unpack("27Q", before.raw))
    words[RAX], words[RDI], words[ORIGINAL], words[RIP] = 3, fd, 2**64 - 1, words[RIP] - 2
    regs.raw = struct.pack("27Q", *words)
    trace(SETREGS, regs)
    trace(SINGLESTEP)
    os.waitpid(pid, 0)
    trace(SETREGS, before)
`;
const attach = "trace(ATTACH)\nos.waitpid(pid, 0)\n";
const detach = "trace(DETACH)\n";

function debug(pid: number, script: string): string {
  const { stdout, stderr } = Bun.spawnSync(["/usr/bin/python3", "-c", TRACER + script, String(pid)], {
    timeout: 30_000,
  });
  return stdout.toString() + stderr.toString();
}

/** bpf(2): BPF_LINK_GET_FD_BY_ID and BPF_LINK_DETACH of linux/bpf.h. */
function detachLink(id: string): string {
  const script = `
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, value):
    result = libc.syscall(321 if ${process.arch === "x64" ? "True" : "False"} else 280, command, struct.pack("3I", value, 0, 0), 12)
    if result < 0: sys.exit(f"bpf {command}: {ctypes.get_errno()}")
    return result
bpf(34, bpf(30, ${id}))
`;
  const { stdout, stderr } = Bun.spawnSync(["/usr/bin/python3", "-c", script], { timeout: 10_000 });
  return stdout.toString() + stderr.toString();
}

describe.skipIf(reason !== undefined)("what others do to treewarden is recorded", () => {
  test("a process that is stopped and continued, with the signal, who sent it and from which tree", async () => {
    await using running = await watching();
    const pid = pidOf(running, "reporter");
    // A user who may not send a signal leaves no record.
    expect(shell(`kill -STOP ${pid}`, 65_534)).not.toBe(0);
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
    const signals = journaled(running).filter(isOf("self.signaled", {}));
    const conts = signals.filter((record) => record["self.signal"] === "SIGCONT");
    expect(conts).toHaveLength(2);
    // Those that came too fast to be told apart are in whichever record came next.
    const numbers = [
      ...conts.map((record) => record["self.count"]),
      ...signals.map((record) => record["self.omitted"] ?? 0),
    ];
    expect(numbers.map(Number).reduce((sum, each) => sum + each)).toBe(10_000);
  }, 30_000);

  test.concurrent("each process that is killed: who did it where a warden lives on, and that it was", async () => {
    await using running = await watching();
    await using _ = endOf(running);
    shell(`kill -KILL ${pidOf(running, "reporter")}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGKILL", "self.process": "reporter" }));
    await running.seen(isOf("self.restarted", { "self.process": "reporter", "self.ended": "SIGKILL" }));
    shell(`kill -KILL ${pidOf(running, "warden")}; :`);
    await running.seen(isOf("self.restarted", { "self.process": "warden", "self.ended": "SIGKILL" }));
    shell(`kill -KILL ${running.pid}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGKILL", "self.process": "supervisor" }));
    await running.seen(isOf("self.restarted", { "self.process": "supervisor", "self.ended": "unknown" }));
  }, 40_000);

  test("who ordered it to stop, and nothing of its own commands' orders", async () => {
    await using running = await watching();
    const reload = [running.binary, "reload", "--state-dir", join(running.folder, "state")];
    expect(Bun.spawnSync(reload, { stdout: "ignore" }).exitCode).toBe(0);
    expect(await running.stop()).toBe(0);
    const records = journaled(running);
    expect(records).toMatchObject([
      { "event.name": "self.signaled", "self.process": "supervisor", "self.signal": "SIGTERM" },
    ]);
    expect(records[0]).not.toHaveProperty("policy.severity");
  }, 30_000);

  test.concurrent("a debugger: at once where it stops the process, else within five seconds", async () => {
    await using running = await watching();
    const pid = pidOf(running, "reporter");
    expect(debug(pid, attach + detach)).toBe("");
    const traced = await running.seen(isOf("self.traced", { "self.process": "reporter" }), 4_000);
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
    expect(links.length).toBeGreaterThanOrEqual(4);
    expect(debug(pid, attach + links.map((fd) => `close(${fd})\n`).join("") + detach)).toBe("");
    const detached = await running.seen(isOf("sensor.detached", {}), 15_000);
    expect(String(detached["error.message"])).toContain("tw_exec");
    await running.seen(isOf("self.restarted", { "self.process": "warden" }), 15_000);
    const before = running.records.filter(isOf("warden.started", {})).length;
    expect(before).toBeGreaterThan(0);
    shell(`kill -CONT ${pidOf(running, "reporter")}; :`);
    await running.seen(isOf("self.signaled", { "self.signal": "SIGCONT" }), 15_000);
  }, 60_000);

  test.concurrent("a program that is detached from the network's hook by bpf(2)", async () => {
    const policy = join(folder, "network.json");
    const when = { "==": [{ var: "network.peer.port" }, 9] };
    const rules = [{ id: "discard", on: ["connect"], when, action: "alert" }];
    writeFileSync(policy, JSON.stringify({ role: "shop", rules }));
    await using running = await watching(["--source", "ebpf", "--policy", policy]);
    const pid = pidOf(running, "warden");
    const [link] = readdirSync(`/proc/${pid}/fdinfo`)
      .map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"))
      .filter((info) => /^link_type:\s+cgroup$/m.test(info));
    const id = /^link_id:\s+(\d+)$/m.exec(link ?? "")?.[1] ?? "";
    expect(detachLink(id)).toBe("");
    await running.seen(isOf("sensor.detached", {}), 15_000);
    await running.seen(isOf("self.restarted", { "self.process": "warden" }), 15_000);
  }, 60_000);

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
    expect(journaled(running).every((record) => record["self.file"] !== `${config}.new`)).toBe(true);
  }, 30_000);
});
