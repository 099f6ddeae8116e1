// `npm run bench:starved -- [--seconds N] [--cpu N]`, as root: does treewarden tell a host whose CPUs others take from a process of
// its own that hangs? Eight busy loops at nice -10 and a storm of execs beside it, during which nothing may be restarted;
// then warden and reporter are stopped, and made to spin, and each has to be replaced. Ends with 1 if one of that is not so.
import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compile, pidOf, quietPolicy, type Role } from "../system/live.ts";
import { newFolder, Running, until } from "../system/treewarden.ts";
import { number, table } from "./table.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "300" }, cpu: { type: "string" } },
});
const seconds = Number(values.seconds);
/** With --cpu everything shares that CPU, and the host keeps its others. */
const pinned = values.cpu === undefined ? [] : ["taskset", "-c", values.cpu];

const LOOPS = 8;
const NICE = -10;
/** A user that nothing else on the host has. */
const MALLORY = 64_989;
/** The supervisor's time limit is 10 s; one more until the next process is there. */
const REPLACED_WITHIN_MS = 11_000;

/** Each ends by itself, whatever becomes of this program. */
function busyLoops(): readonly Bun.Subprocess[] {
  // For the session too, where the scheduler groups by it (sched(7), autogroup).
  const code = `echo ${NICE} > /proc/self/autogroup; while :; do :; done`;
  const loop = [
    ...pinned,
    "setsid",
    "nice",
    "-n",
    String(NICE),
    "timeout",
    String(seconds),
    "sh",
    "-c",
    code,
  ];
  return Array.from({ length: LOOPS }, () => Bun.spawn(loop, { stdio: ["ignore", "ignore", "ignore"] }));
}

function storm(folder: string): Bun.Subprocess {
  const program = compile(folder, "storm");
  const names = join(folder, "names");
  mkdirSync(names);
  chownSync(names, MALLORY, MALLORY);
  const as = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
  return Bun.spawn([...pinned, ...as, program, "same", String(seconds), "4", names], {
    stdio: ["ignore", "ignore", "ignore"],
  });
}

/**
 * Has the main thread of a process run in a circle: ptrace(2) puts `jmp .` of x86-64 behind the system call by which it sets
 * the supervisor's timer, timerfd_settime(2), as it does when it comes back from its poll. Requests: sys/ptrace.h; the
 * registers: struct user_regs_struct of sys/user.h.
 */
const SPIN = `
import ctypes, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
PEEKTEXT, POKETEXT, GETREGS, ATTACH, DETACH, SYSCALL = 1, 4, 12, 16, 17, 24
TIMERFD_SETTIME, ORIGINAL, RIP = 286, 15, 16
pid = int(sys.argv[1])
signal.alarm(20)
def trace(request, at=None, data=None):
    ctypes.set_errno(0)
    result = libc.ptrace(request, pid, at, data)
    if result < 0 and ctypes.get_errno() != 0: sys.exit(os.strerror(ctypes.get_errno()))
    return result
trace(ATTACH)
os.waitpid(pid, 0)
stops = 0
while stops < 2:
    trace(SYSCALL)
    os.waitpid(pid, 0)
    registers = ctypes.create_string_buffer(8 * 27)
    trace(GETREGS, None, registers)
    words = struct.unpack("27Q", registers.raw)
    # It stops at the beginning of each call and at its end.
    stops = stops + 1 if words[ORIGINAL] == TIMERFD_SETTIME else 0
word = trace(PEEKTEXT, words[RIP]) & 0xffffffffffffffff
trace(POKETEXT, words[RIP], (word & ~0xffff) | 0xfeeb)
trace(DETACH)
`;

function spin(pid: number): void {
  const { exitCode, stderr } = Bun.spawnSync(["/usr/bin/python3", "-c", SPIN, String(pid)]);
  if (exitCode !== 0) throw new Error(`pid ${pid} does not spin: ${stderr}`);
}

const hangs: Readonly<Record<string, (pid: number) => void>> = {
  "is stopped (SIGSTOP)": (pid) => void process.kill(pid, "SIGSTOP"),
  ...(process.arch === "x64" ? { "spins (an endless loop)": spin } : {}),
};

/** Milliseconds until there is another one, and until treewarden is healthy again. */
async function replacement(
  running: Running,
  role: Role,
  hang: (pid: number) => void,
): Promise<[number, number]> {
  const pid = pidOf(running, role);
  // The process is found at a call that it makes every few seconds, before which it does not hang.
  hang(pid);
  const begin = performance.now();
  const isReplaced = (): boolean => {
    try {
      return pidOf(running, role) !== pid;
    } catch {
      return false;
    }
  };
  await until(`another ${role}`, isReplaced, 120_000);
  const replaced = performance.now() - begin;
  const isHealthy = async (): Promise<boolean> =>
    await running.health().then(
      ({ status }) => status === 200,
      () => false,
    );
  await until("it is healthy", isHealthy, 30_000);
  return [replaced, performance.now() - begin];
}

const folder = newFolder();
chmodSync(folder, 0o755);
let failed = false;
try {
  await using running = await Running.start(["--policy", quietPolicy(folder)], {}, folder, pinned);
  const load = [storm(folder), ...busyLoops()];
  await Promise.all(load.map(({ exited }) => exited));
  const metrics = await running.metrics();
  const execs = metrics.sum("treewarden_events_total", { event: "exec" });
  const lost = metrics.sum("treewarden_events_lost_total");
  const restarts = metrics.sum("treewarden_restarts_total");
  const starved = running.stderr.match(/other programs take it; waiting/g)?.length ?? 0;
  failed ||= restarts > 0 || running.stderr.includes("killing it");
  console.log(
    `${LOOPS} busy loops at nice ${NICE} and a storm for ${seconds} s: ${execs} execs, ${lost} events lost, ` +
      `${restarts} restarts; the supervisor noticed ${starved} times that a process gets no CPU.\n`,
  );
  const rows: string[][] = [];
  for (const role of ["warden", "reporter"] as const)
    for (const [how, hang] of Object.entries(hangs)) {
      const [replaced, healthy] = await replacement(running, role, hang);
      failed ||= replaced > REPLACED_WITHIN_MS;
      rows.push([`a ${role} that ${how}`, number(replaced / 1000), number(healthy / 1000)]);
    }
  console.log(table(["what hangs", "replaced after, s", "healthy after, s"], rows));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
