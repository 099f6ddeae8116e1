// A web server made up for the benchmark: what its kernel would tell of forks, execs and exits, the same at every run.
import { dice } from "../../../build/randomness-names.ts";
import {
  commonLayout,
  execLayout,
  exitLayout,
  forkLayout,
  recordFlags,
  recordKinds,
} from "../../../src/sensor/ebpf/layout.ts";
import { execRecord, record } from "../../sensor/ebpf/records.ts";

/** What an exec runs; what is left out stays as the process had it. */
interface Program {
  readonly executable: string;
  readonly args: readonly string[];
  readonly script?: string;
  readonly cwd?: string;
}

interface State {
  uid: number;
  cgroup: string;
  cwd: string;
  tty: string | undefined;
  startNs: number;
  readonly parentPid: number;
}

/** A piece of work that goes on among others: it yields after each event. */
type Job = Generator<void, void>;

const WWW_DATA = 33;
/** include/linux/audit.h: no login user, no session. */
const UNSET = 0xffff_ffff;
const PID_MAX = 32_768;
/** Jobs that run at the same time. */
const JOBS = 4;
/** One event each 0.7 ms is some 500 execs a second. */
const EVENT_NS = 700_000;
const BOOT_NS = 60_000_000_000;
const INSTALLED_S = 1_700_000_000;
/** S_IFREG | 0755 */
const MODE = 0o100755;

const container = (digit: string): string => `/system.slice/docker-${digit.repeat(64)}.scope`;
const letters = "abcdefghijklmnopqrstuvwxyz0123456789";

/** The kinds of stream that are measured. `mixed` is the server at work; the others repeat one thing. */
export const streamKinds = ["mixed", "known", "alerted", "new name", "deep new name"] as const;
export type StreamKind = (typeof streamKinds)[number];

export class SyntheticHost {
  execs = 0;
  private readonly emit: (record: Uint8Array) => void;
  private readonly releases: number;
  private readonly random: () => number;
  private readonly live = new Map<number, State>();
  private readonly jobs: Job[] = [];
  private now = BOOT_NS;
  private lastPid = 300;
  private sessions = 0;
  private nginx = 0;
  private php: readonly number[] = [];
  private cron = 0;
  private sshd = 0;
  private shims: readonly number[] = [];
  private agent = 0;

  /** `emit` is handed each record of the kernel's, in order. `releases`: the share of jobs that run a new program. */
  constructor(emit: (record: Uint8Array) => void, releases = 0.03) {
    this.emit = emit;
    this.releases = releases;
    this.random = dice(20_260_131);
    this.boot();
  }

  /** Lets the server work until `count` more programs have run. */
  run(kind: StreamKind, count: number): void {
    const end = this.execs + count;
    while (this.execs < end) {
      if (kind === "mixed") this.step();
      else for (const _ of this.repeated(kind));
    }
  }

  private boot(): void {
    this.live.set(1, this.newState(0, 0, "/init.scope"));
    this.exec(1, { executable: "/usr/lib/systemd/systemd", args: ["/sbin/init"] });
    this.nginx = this.daemon("nginx", "/usr/sbin/nginx", ["nginx: master process"]);
    for (let i = 0; i < 4; i++) this.become(this.fork(this.nginx), WWW_DATA);
    const fpm = this.daemon("php8.2-fpm", "/usr/sbin/php-fpm8.2", ["php-fpm: master process"]);
    this.php = [1, 2, 3, 4, 5, 6].map(() => this.become(this.fork(fpm), WWW_DATA));
    this.cron = this.daemon("cron", "/usr/sbin/cron", ["/usr/sbin/cron", "-f"]);
    this.sshd = this.daemon("ssh", "/usr/sbin/sshd", ["sshd: /usr/sbin/sshd -D"]);
    this.agent = this.daemon("telegraf", "/usr/bin/telegraf", [
      "/usr/bin/telegraf",
      "--config",
      "/etc/t.conf",
    ]);
    const containerd = this.daemon("containerd", "/usr/bin/containerd", ["/usr/bin/containerd"]);
    this.shims = ["a", "b", "c"].map((digit) => {
      const shim = this.start(containerd, "/usr/bin/containerd-shim-runc-v2", ["-id", digit]);
      const main = this.fork(shim);
      this.stateOf(main).cgroup = container(digit);
      this.exec(main, { executable: "/usr/local/bin/node", args: ["node", "server.js"], cwd: "/app" });
      return shim;
    });
  }

  private step(): void {
    while (this.jobs.length < JOBS) this.jobs.push(this.job());
    const at = Math.floor(this.random() * this.jobs.length);
    if (this.jobs[at]?.next().done === true) this.jobs.splice(at, 1);
  }

  /** The next piece of work, each as often as such a server has it. */
  private job(): Job {
    const isRelease = this.random() < this.releases;
    if (isRelease) return this.release();
    const share = this.random();
    if (share < 0.31) return this.thumbnail();
    if (share < 0.39) return this.letter();
    if (share < 0.51) return this.scheduled();
    if (share < 0.55) return this.session();
    if (share < 0.72) return this.healthCheck();
    if (share < 0.88) return this.check();
    if (share < 0.92) return this.backup();
    return this.unit();
  }

  private *thumbnail(): Job {
    const worker = pick(this.php, this.random());
    const name = `/var/www/shop/uploads/${this.number(9_000)}.jpg`;
    const command = `convert -resize 200x200 ${name} ${name}.png`;
    yield* this.command(worker, command, "/usr/bin/convert-im6.q16", command.split(" "));
  }

  private *letter(): Job {
    const worker = pick(this.php, this.random());
    const args = ["/usr/sbin/sendmail", "-t", "-i", "-fshop@example.org"];
    yield* this.command(worker, args.join(" "), "/usr/sbin/exim4", args);
  }

  private *scheduled(): Job {
    const child = this.fork(this.cron);
    this.become(child, WWW_DATA);
    yield;
    this.shell(child, "cd /var/www/shop && php artisan schedule:run >> /dev/null 2>&1");
    yield;
    const php = { executable: "/usr/bin/php8.2", cwd: "/var/www/shop" };
    yield* this.body(
      child,
      { ...php, args: ["php", "artisan", "schedule:run"] },
      function* (this: SyntheticHost, pid) {
        const task = pick(["queue:work --once", "cache:prune", "report:daily"], this.random());
        yield* this.child(pid, { ...php, args: ["php", "artisan", ...task.split(" ")] });
      },
    );
    this.exit(child);
  }

  private *session(): Job {
    const child = this.fork(this.sshd);
    yield;
    this.exec(child, { executable: "/usr/sbin/sshd", args: ["sshd: admin [priv]"] });
    yield;
    const shell = this.fork(child);
    this.become(shell, 1000 + this.number(3));
    this.sessions += 1;
    const state = this.stateOf(shell);
    state.cgroup = `/user.slice/user-1000.slice/session-${this.sessions}.scope`;
    state.tty = `pts${this.number(4)}`;
    yield;
    this.exec(shell, { executable: "/usr/bin/bash", args: ["-bash"], cwd: "/home/admin" });
    yield;
    const commands = [
      "ls -l",
      "ps ax",
      `grep -r error_${this.number(500)} .`,
      "tail /var/log/syslog",
      "id",
      "uptime",
    ];
    for (let i = 0; i < 8; i++) {
      const args = pick(commands, this.random()).split(" ");
      yield* this.child(shell, { executable: `/usr/bin/${args[0]}`, args });
    }
    const sudo = { executable: "/usr/bin/sudo", args: ["sudo", "systemctl", "status", "nginx"] };
    yield* this.body(shell, sudo, function* (this: SyntheticHost, pid) {
      const inner = this.fork(pid);
      this.become(inner, 0);
      this.exec(inner, { executable: "/usr/bin/systemctl", args: ["systemctl", "status", "nginx"] });
      yield;
      this.exit(inner);
    });
    this.exit(shell);
    yield;
    this.exit(child);
  }

  private *healthCheck(): Job {
    const shim = pick(this.shims, this.random());
    const digit = pick(["a", "b", "c"], this.random());
    const runc = {
      executable: "/usr/bin/runc",
      args: ["runc", "--root", "/run/docker", "exec", digit.repeat(64)],
    };
    yield* this.body(shim, runc, function* (this: SyntheticHost, pid) {
      const inner = this.fork(pid);
      this.stateOf(inner).cgroup = container(digit);
      this.exec(inner, { executable: "/usr/bin/runc", args: ["runc", "init"], cwd: "/" });
      yield;
      this.shell(inner, "curl -f http://localhost:3000/health || exit 1", "/bin/busybox");
      yield;
      const args = ["curl", "-f", "http://localhost:3000/health"];
      yield* this.child(inner, { executable: "/usr/bin/curl", args });
      this.exit(inner);
    });
  }

  private *check(): Job {
    if (this.random() < 0.5) {
      const command = `df -P ${pick(["/", "/var", "/home"], this.random())}`;
      yield* this.command(this.agent, command, "/usr/bin/df", command.split(" "));
      return;
    }
    const script = `/opt/checks/check_${pick(["disk", "mysql", "queue", "certs"], this.random())}.py`;
    const args = ["/usr/bin/python3", script, "--warn", String(this.number(90))];
    yield* this.child(this.agent, { executable: "/usr/bin/python3.11", args, script });
  }

  private *backup(): Job {
    const script = "/usr/local/bin/backup.sh";
    const bash = { executable: "/usr/bin/bash", args: ["/bin/bash", script], script, cwd: "/" };
    yield* this.body(this.cron, bash, function* (this: SyntheticHost, pid) {
      for (let i = 0; i < 12; i++) {
        const file = `/var/lib/mysql/shop/orders_${this.number(400)}.ibd`;
        yield* this.child(pid, { executable: "/usr/bin/sha256sum", args: ["sha256sum", file] });
        yield* this.child(pid, { executable: "/usr/bin/gzip", args: ["gzip", "-c", file] });
      }
      yield* this.child(pid, {
        executable: "/usr/bin/rsync",
        args: ["rsync", "-a", "/backup/", "store:/shop"],
      });
    });
  }

  private *unit(): Job {
    const name = pick(
      ["logrotate", "apt-daily", "certbot", "fstrim", "man-db", "sysstat-collect"],
      this.random(),
    );
    const main = this.fork(1);
    this.stateOf(main).cgroup = `/system.slice/${name}.service`;
    yield;
    this.exec(main, { executable: `/usr/sbin/${name}`, args: [`/usr/sbin/${name}`, "/etc/conf"] });
    yield;
    for (const tool of ["date", "stat", "mv"]) {
      yield* this.child(main, { executable: `/usr/bin/${tool}`, args: [tool, "/var/log/syslog"] });
    }
    this.exit(main);
  }

  /** A program that this host has never run. */
  private *release(): Job {
    const name = `worker-${this.word(7)}`;
    yield* this.child(this.agent, { executable: `/srv/shop/releases/current/bin/${name}`, args: [name] });
  }

  private *repeated(kind: Exclude<StreamKind, "mixed">): Job {
    let executable = "/usr/bin/true";
    // The role base alerts on programs of the services' temporary directories.
    if (kind === "alerted") executable = "/tmp/tool";
    if (kind === "new name") executable = `/srv/shop/releases/current/bin/${this.word(9)}`;
    if (kind === "deep new name")
      executable = `/srv/${Array.from({ length: 40 }, () => this.word(12)).join("/")}`;
    yield* this.child(this.agent, {
      executable,
      args: [executable.slice(executable.lastIndexOf("/") + 1), "-q"],
    });
  }

  /** `sh -c` that runs one program: dash makes a child for it, or becomes it. */
  private *command(parent: number, command: string, executable: string, args: readonly string[]): Job {
    const shell = this.fork(parent);
    yield;
    this.shell(shell, command);
    yield;
    if (this.random() < 0.5) yield* this.child(shell, { executable, args });
    else {
      this.exec(shell, { executable, args });
      yield;
    }
    this.exit(shell);
  }

  private *child(parent: number, program: Program): Job {
    yield* this.body(parent, program, function* () {});
  }

  private *body(parent: number, program: Program, work: (this: SyntheticHost, pid: number) => Job): Job {
    const pid = this.fork(parent);
    yield;
    this.exec(pid, program);
    yield;
    yield* work.call(this, pid);
    this.exit(pid);
    yield;
  }

  private shell(pid: number, command: string, executable = "/usr/bin/dash"): void {
    this.exec(pid, { executable, args: ["sh", "-c", command] });
  }

  private daemon(unit: string, executable: string, args: readonly string[]): number {
    const pid = this.start(1, executable, args);
    this.stateOf(pid).cgroup = `/system.slice/${unit}.service`;
    this.exec(pid, { executable, args });
    return pid;
  }

  private start(parent: number, executable: string, args: readonly string[]): number {
    const pid = this.fork(parent);
    this.exec(pid, { executable, args });
    return pid;
  }

  private fork(parentPid: number): number {
    const parent = this.stateOf(parentPid);
    const pid = this.freePid();
    const state = { ...parent, parentPid, startNs: this.tick() };
    this.live.set(pid, state);
    const fork = record(forkLayout.size, {});
    this.write(fork, recordKinds.fork, pid);
    const view = new DataView(fork.buffer);
    view.setUint32(forkLayout.parentPid, parentPid, true);
    view.setUint32(forkLayout.uid, parent.uid, true);
    view.setUint32(forkLayout.realUid, parent.uid, true);
    setLong(view, forkLayout.start, state.startNs);
    this.emit(fork);
    return pid;
  }

  private become(pid: number, uid: number): number {
    this.stateOf(pid).uid = uid;
    return pid;
  }

  private exec(pid: number, program: Program): void {
    const state = this.stateOf(pid);
    state.cwd = program.cwd ?? state.cwd;
    this.execs += 1;
    const { script } = program;
    const exec = execRecord({
      filename: script ?? program.executable,
      args: program.args,
      ...(state.tty === undefined ? {} : { tty: state.tty }),
      cgroup: state.cgroup,
      executable: program.executable,
      cwd: state.cwd,
      flags: script === undefined ? 0 : recordFlags.script,
    });
    this.tick();
    this.write(exec, recordKinds.exec, pid);
    const view = new DataView(exec.buffer);
    setLong(view, execLayout.start, state.startNs);
    view.setUint32(execLayout.parentPid, state.parentPid, true);
    view.setUint32(execLayout.uid, state.uid, true);
    view.setUint32(execLayout.realUid, state.uid, true);
    view.setUint32(execLayout.gid, state.uid, true);
    view.setUint32(execLayout.loginUid, state.tty === undefined ? UNSET : state.uid, true);
    view.setUint32(execLayout.sessionId, state.tty === undefined ? UNSET : this.sessions, true);
    view.setUint32(execLayout.mode, MODE, true);
    setLong(view, execLayout.changed, INSTALLED_S);
    setLong(view, execLayout.inode, program.executable.length);
    setLong(view, execLayout.settleKey, 1);
    this.emit(exec);
  }

  private exit(pid: number): void {
    this.live.delete(pid);
    this.tick();
    const exit = record(exitLayout.size, {});
    this.write(exit, recordKinds.exit, pid);
    this.emit(exit);
  }

  /** What every record begins with. */
  private write(record: Uint8Array, kind: number, pid: number): void {
    const view = new DataView(record.buffer);
    view.setUint32(commonLayout.kind, kind, true);
    view.setUint32(commonLayout.pid, pid, true);
    setLong(view, commonLayout.time, this.now);
  }

  private stateOf(pid: number): State {
    const state = this.live.get(pid);
    if (state === undefined) throw new Error(`process ${pid} has ended`);
    return state;
  }

  private newState(uid: number, parentPid: number, cgroup: string): State {
    return { uid, cgroup, cwd: "/", tty: undefined, startNs: this.now, parentPid };
  }

  private freePid(): number {
    do this.lastPid = this.lastPid + 1 < PID_MAX ? this.lastPid + 1 : 300;
    while (this.live.has(this.lastPid));
    return this.lastPid;
  }

  private tick(): number {
    this.now += EVENT_NS;
    return this.now;
  }

  private number(below: number): number {
    return Math.floor(this.random() * below);
  }

  private word(length: number): string {
    return Array.from({ length }, () => letters[this.number(letters.length)]).join("");
  }
}

/** 64 bits; below 2^53. */
function setLong(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

function pick<T>(list: readonly T[], share: number): T {
  const item = list[Math.floor(share * list.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}
