// What a reporter that was taken over, or another process of its user, can do to a run: the compiled binary, attacked.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inherited } from "../../src/supervisor/inherited.ts";
import { pidOf } from "./live.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Python with the system calls that copy a descriptor of another process: pidfd_open(2), pidfd_getfd(2). */
const PRELUDE = `
import ctypes, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def copied(pid, number):
    fd = libc.syscall(438, libc.syscall(434, pid, 0), number, 0)
    if fd < 0: sys.exit(os.strerror(ctypes.get_errno()))
    return fd
pid = int(sys.argv[1])
`;

interface Answer {
  readonly code: number;
  readonly text: string;
}

/** Runs `script` against the process `pid`, as `uid`. */
function attack(script: string, pid: number, uid = 0): Answer {
  const as = uid === 0 ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [...as, "/usr/bin/python3", "-c", PRELUDE + script, String(pid)],
    { cwd: "/", timeout: 10_000 },
  );
  return { code: exitCode, text: stdout.toString() + stderr.toString() };
}

function reporterUid(running: Running): number {
  return statSync(`/proc/${pidOf(running, "reporter")}`).uid;
}

const isRestarted = (running: Running, pid: number) => () => {
  try {
    return pidOf(running, "reporter") !== pid;
  } catch {
    return false;
  }
};

describe.skipIf(reason !== undefined)("a process of the reporter's user", () => {
  test("can neither copy its descriptors, nor trace it, nor read its memory and environment", async () => {
    await using running = await Running.start();
    const [pid, uid] = [pidOf(running, "reporter"), reporterUid(running)];
    expect(uid).toBeWithin(61_184, 65_520);
    expect(attack("copied(pid, 3)", pid, uid)).toMatchObject({ code: 1, text: "Operation not permitted\n" });
    expect(attack("copied(pid, 1)", pid, uid)).toMatchObject({ code: 1, text: "Operation not permitted\n" });
    // PTRACE_ATTACH
    const trace = "print(libc.ptrace(16, pid, 0, 0), os.strerror(ctypes.get_errno()))";
    expect(attack(trace, pid, uid).text).toBe("-1 Operation not permitted\n");
    for (const file of ["environ", "mem", "maps", "fd"])
      expect(
        attack(
          `os.listdir(f"/proc/{pid}/fd") if "${file}" == "fd" else open(f"/proc/{pid}/${file}", "rb").read(1)`,
          pid,
          uid,
        ).code,
      ).toBe(1);
    // Root with CAP_SYS_PTRACE still can, as the supervisor has to.
    expect(attack("print(copied(pid, 3) > 0)", pid).text).toBe("True\n");
  }, 20_000);

  test.concurrent("copies nothing even from reporters that are just starting", async () => {
    await using running = await Running.start();
    const uid = reporterUid(running);
    const script = `
import time
end, tries = time.time() + 6, 0
while time.time() < end:
    for name in os.listdir("/proc"):
        try:
            if not name.isdigit() or os.stat("/proc/" + name).st_uid != ${uid} or int(name) == os.getpid(): continue
            tries += 1
            handle = libc.syscall(434, int(name), 0)
            if handle >= 0 and libc.syscall(438, handle, 3, 0) >= 0: sys.exit("copied")
            os.close(handle)
        except OSError: pass
print("tried", tries > 100)
`;
    const attacker = Bun.spawn(
      [
        "setpriv",
        `--reuid=${uid}`,
        `--regid=${uid}`,
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        PRELUDE + script,
        "0",
      ],
      { stdout: "pipe", stderr: "pipe", cwd: "/" },
    );
    for (let i = 0; i < 8; i += 1) {
      const pid = pidOf(running, "reporter");
      process.kill(pid, "SIGKILL");
      await until("another reporter", isRestarted(running, pid));
      await Bun.sleep(300);
    }
    expect(await attacker.stderr.text()).toBe("");
    expect(await attacker.stdout.text()).toBe("tried True\n");
  }, 40_000);

  test.concurrent("that stops the reporter for good does not silence the run: it is replaced within 11 s", async () => {
    await using running = await Running.start();
    const pid = pidOf(running, "reporter");
    const begin = performance.now();
    expect(attack("os.kill(pid, signal.SIGSTOP)", pid, reporterUid(running)).code).toBe(0);
    await until("another reporter", isRestarted(running, pid), 15_000);
    expect(performance.now() - begin).toBeLessThan(11_000);
    expect(running.stderr).toContain("the reporter is stopped; killing it");
    // It listens a moment after its start.
    const healthy = () =>
      running.health().then(
        ({ status }) => status === 200,
        () => false,
      );
    await until("healthy", healthy);
  }, 30_000);
});

describe.skipIf(reason !== undefined)("a reporter that was taken over", () => {
  test("and shuts down its links is replaced, the run says so, and no verdict is missing", async () => {
    const policy = join(folder, "policy.json");
    const program = join(folder, "watched");
    writeFileSync(
      policy,
      JSON.stringify({
        role: "attack",
        rules: [
          { id: "watched", when: { "==": [{ var: "process.executable.name" }, "watched"] }, action: "alert" },
        ],
        default: "allow",
        tests: [],
      }),
    );
    writeFileSync(program, readFileSync("/bin/true"), { mode: 0o755 });
    await using running = await Running.start(["--policy", policy]);
    const alerts = () => running.records.filter((each) => each["event.name"] === "policy.verdict");
    let expected = 0;
    for (const fd of [inherited.report, inherited.control]) {
      for (const how of ["SHUT_RD", "SHUT_WR", "SHUT_RDWR"]) {
        const pid = pidOf(running, "reporter");
        expect(attack(`socket.socket(fileno=copied(pid, ${fd})).shutdown(socket.${how})`, pid).code).toBe(0);
        // Verdicts of the time in which there is no reporter.
        Bun.spawnSync([program, String(expected)]);
        expected += 1;
        await until("another reporter", isRestarted(running, pid));
        await until("the verdict", () => alerts().length === expected);
      }
    }
    expect(alerts().map((each) => each["process.command_args"])).toEqual(
      Array.from({ length: expected }, (_, i) => [program, String(i)]),
    );
    expect(running.stderr.match(/the link between \w+ and reporter was shut down/g)).toHaveLength(6);
    const changes = () => running.records.filter((each) => each["event.name"] === "link.shut_down");
    await until("the changes", () => changes().length === 6);
    expect(changes()[0]).toMatchObject({ "error.message": "the link to the reporter was shut down" });
    expect((await running.health()).status).toBe(200);
  }, 60_000);

  test("has no descriptor of the terminal that root started the run on, and cannot control it", async () => {
    const state = join(folder, "terminal");
    const master = Bun.spawn(
      ["/usr/bin/python3", "-c", TERMINAL, binary, "run", "--listen", "off", "--state-dir", state],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    let shown = "";
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const bytes of master.stdout) shown += decoder.decode(bytes, { stream: true });
    })();
    try {
      await until("the live view", () => shown.includes("warden.started"));
      const [supervisor = 0] = children(master.pid);
      const reporter = children(supervisor).find((pid) => roleOf(pid) === "reporter") ?? 0;
      const open = readdirSync(`/proc/${reporter}/fd`).map((fd) =>
        readlinkSync(`/proc/${reporter}/fd/${fd}`),
      );
      expect(open.filter((path) => /^\/dev\/(?:pts|tty|console|ptmx)/.test(path))).toEqual([]);
      // tty_nr of proc_pid_stat(5): no controlling terminal either, which /dev/tty would open.
      expect(readFileSync(`/proc/${reporter}/stat`, "latin1").split(") ")[1]?.split(" ")[4]).toBe("0");
      // The live view is in colour, and text of root's own stays as it is.
      expect(shown).toContain("\x1b[36mwarden.started\x1b[0m");
      attack(`os.write(copied(pid, 1), b"\\x1b[2J\\x1b]0;owned\\x07\\x1b[6n\\n")`, reporter);
      attack(`os.write(copied(pid, 2), b"\\x1b[6n on standard error\\n")`, reporter);
      await until("the text", () => shown.includes("on standard error") && shown.includes("owned"));
      expect(shown).toContain("\\x1b[2J\\x1b]0;owned\\x07\\x1b[6n\r\n");
      expect(shown.replaceAll(/\x1b\[(?:0|2|33|36|1;31)m/g, "")).not.toContain("\x1b");
      expect(attack("os.read(copied(pid, 1), 1)", reporter).text).toContain("Bad file descriptor");
    } finally {
      // Ctrl-C, as root would end it.
      master.stdin.write("\x03");
      master.stdin.end();
      await Promise.race([master.exited, Bun.sleep(5_000)]);
      await reading;
      // What the reporter printed last.
      expect(shown).toContain("warden.stopped");
      master.kill("SIGKILL");
      await reading;
    }
  }, 30_000);
});

/** Runs a command on a new terminal, and copies between that terminal and the standard streams. */
const TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";

function children(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").map(Number);
}

function roleOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")[1];
}
