// A small server of Debian's packages, started by hand: own configuration, own ports on the loopback, everything it
// writes in one folder. It runs its daemons the way their packages do, and lives an ordinary life on request.
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { directly, isRunning, type Service, type Starter } from "./service-manager.ts";
import { FAST_KEY_EXCHANGE } from "./small-sshd.ts";
import { until } from "./treewarden.ts";

let servers = 0;

/** Of these are names made, not of numbers: a path with one is folded, and of folded paths no content is compared. */
const NAMES = ["amber", "black", "coral", "green", "ivory", "olive", "white"];

/** A new folder of a server. Not in /tmp: rules look at programs there, and a server's own are not. */
export function serverFolder(): string {
  const numbers = [process.pid, process.pid / NAMES.length, servers];
  const words = numbers.map((number) => NAMES[Math.floor(number) % NAMES.length]);
  servers += 1;
  const folder = `/srv/treewarden-test-${words.join("-")}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o755, recursive: true });
  return folder;
}

export class Server implements AsyncDisposable {
  readonly folder: string;
  readonly webPort: number;
  readonly apachePort: number;
  private readonly sshPort: number;
  private readonly madeRunSshd: boolean;
  private readonly starter: Starter;
  private cron: Service | undefined;
  private wrap: Service | undefined;
  private at: Service | undefined;
  private atJobs = 0;

  /** Files and keys are made, nothing runs yet. */
  constructor(starter: Starter = directly, folder: string = serverFolder()) {
    this.starter = starter;
    this.folder = folder;
    // Below the ports that connections get by themselves.
    const port = 10_000 + Math.floor(Math.random() * 3_000) * 3;
    this.webPort = port;
    this.apachePort = port + 1;
    this.sshPort = port + 2;
    this.madeRunSshd = !existsSync("/run/sshd");
    if (this.madeRunSshd) mkdirSync("/run/sshd", { mode: 0o755 });
    for (const name of ["", "html", "cgi", "run", "spool", "cron.d", "jobs", "apache", "data"])
      mkdirSync(join(this.folder, name), { mode: 0o755, recursive: true });
    this.writeWeb();
    this.writeSsh();
    this.writeCron();
    this.writeApache();
    this.writeDatabase();
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  /** Starts every daemon, and waits until each answers. */
  async start(): Promise<void> {
    const { starter } = this;
    await starter.run("nginx.service", ["/usr/sbin/nginx", "-p", this.folder, "-c", this.path("nginx.conf")]);
    await starter.run("ssh.service", ["/usr/sbin/sshd", "-f", this.path("sshd_config")]);
    await this.startDatabase();
    const apache = { APACHE_CONFDIR: this.path("apache") };
    await starter.run("apache2.service", ["/usr/sbin/apachectl", "start"], apache);
    this.wrap = await starter.spawn("fcgiwrap.service", [
      ...["setpriv", ...asUser("www-data"), "fcgiwrap", "-c", "1"],
      ...["-s", `unix:${this.path("run", "cgi.sock")}`],
    ]);
    // Its spool and pid file are the system's, as its jobs are: nothing else may use it meanwhile.
    this.at = await starter.spawn("atd.service", ["unshare", "-m", "sh", this.path("atd-start")]);
    await this.startCron();
    await until("nginx, fcgiwrap and apache answer", async () => {
      const [page, status, other] = await Promise.all([
        this.get("/"),
        this.post("/"),
        this.get("/", this.apachePort),
      ]);
      return page === 200 && status === 200 && other === 200;
    });
  }

  /** cron runs its jobs of start-up at once, as others by the minute. */
  async startCron(): Promise<void> {
    const mark = this.path("run", "job-done");
    rmSync(mark, { force: true });
    this.cron = await this.starter.spawn("cron.service", ["unshare", "-m", "sh", this.path("cron-start")]);
    await until("cron's job ran", () => existsSync(mark));
  }

  async stopCron(): Promise<void> {
    await this.cron?.stop();
    this.cron = undefined;
  }

  /** Ends every daemon that was started. */
  async stop(): Promise<void> {
    await this.wrap?.stop();
    await this.at?.stop();
    // fcgiwrap does not take over a socket that is there.
    rmSync(this.path("run", "cgi.sock"), { force: true });
    await this.stopCron();
    await this.stopDatabase();
    const pids = ["nginx.pid", "sshd.pid", "apache2/apache2.pid"].map((name) =>
      pidIn(this.path("run", name)),
    );
    for (const pid of pids) if (pid !== undefined) end(pid);
    await until("nginx, sshd and apache have ended", () =>
      pids.every((pid) => pid === undefined || !isRunning(pid)),
    );
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** What a day brings: pages, a status, logins, copies, jobs, a query, a reload. */
  async live(): Promise<void> {
    await Promise.all([this.get("/"), this.get("/missing"), this.get("/", this.apachePort)]);
    await this.post("/");
    this.ssh("uptime");
    this.ssh(`cd ${this.folder} && ls html | wc -l`);
    this.sftp(`get ${this.path("html", "index.html")} ${this.path("run", "copy")}`);
    await this.atJob("date");
    await this.query("select 1");
    const reload = ["/usr/sbin/nginx", "-p", this.folder, "-c", this.path("nginx.conf"), "-s", "reload"];
    await this.starter.run("nginx.service", reload);
    await this.stopCron();
    await this.startCron();
  }

  /** Status of a page; 0 if nobody answers. */
  async get(path: string, port = this.webPort): Promise<number> {
    return fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } }).then(
      async (answer) => {
        await answer.text();
        return answer.status;
      },
      () => 0,
    );
  }

  /**
   * Asks the status script about a file system. The script has the mistake of old: what it is asked becomes part of a
   * command line.
   */
  async post(what: string, script = "status.cgi"): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.webPort}/cgi/${script}`, {
      method: "POST",
      body: `${what}\n`,
      headers: { connection: "close" },
    }).catch(() => undefined);
    await answer?.text();
    return answer?.status ?? 0;
  }

  /** Has the script of words sort them by ptx(1), a packaged program that hardly anybody else uses. */
  words(words: string): Promise<number> {
    return this.post(words, "words.cgi");
  }

  /** A command by a login; what it printed. */
  ssh(command: string, key = "key", flags: readonly string[] = []): string {
    const host = ["-p", `${this.sshPort}`, "root@127.0.0.1"];
    return Bun.spawnSync(["ssh", ...this.sshFlags(key), ...flags, ...host, command], {
      stdin: "ignore",
      stderr: "ignore",
      timeout: 60_000,
    }).stdout.toString();
  }

  /** A login with a terminal and these lines typed into it. */
  login(lines: readonly string[]): void {
    Bun.spawnSync(["ssh", ...this.sshFlags("key"), "-tt", "-p", `${this.sshPort}`, "root@127.0.0.1"], {
      stdin: Buffer.from(`${lines.join("\n")}\n`),
      stdout: "ignore",
      stderr: "ignore",
      timeout: 10_000,
    });
  }

  sftp(batch: string): void {
    const args = [...this.sshFlags("key"), "-P", `${this.sshPort}`, "-b", "-", "root@127.0.0.1"];
    Bun.spawnSync(["sftp", ...args], {
      stdin: Buffer.from(`${batch}\n`),
      stdout: "ignore",
      stderr: "ignore",
    });
  }

  /** Runs a command by at(1), and waits until it has ended. */
  async atJob(command: string): Promise<void> {
    this.atJobs += 1;
    const mark = this.path("run", `at-${this.atJobs}`);
    const pid = this.at?.pid ?? 0;
    // Within atd's own view of the spool.
    Bun.spawnSync(["nsenter", "-m", "-t", `${pid}`, "at", "now"], {
      stdin: Buffer.from(`${command} > /dev/null 2>&1\n: > ${mark}\n`),
      stdout: "ignore",
      stderr: "ignore",
      cwd: "/",
    });
    await until("the job by at ran", () => existsSync(mark));
  }

  async query(sql: string): Promise<void> {
    const client = join(postgresFolder(), "bin/psql");
    const flags = ["-h", this.path("run"), "-d", "postgres", "-c", sql];
    await this.starter.run("report.service", ["setpriv", ...asUser("postgres"), client, ...flags]);
  }

  /** A key that may log in; `options` as in authorized_keys. */
  addKey(name: string, options = ""): void {
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.path(name)]);
    const line = readFileSync(this.path(`${name}.pub`), "utf8");
    const file = this.path("authorized_keys");
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    writeFileSync(file, `${before}${options}${options === "" ? "" : " "}${line}`, { mode: 0o600 });
  }

  script(path: string, text: string): string {
    writeFileSync(this.path(path), text);
    chmodSync(this.path(path), 0o755);
    return this.path(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
      if (this.madeRunSshd) rmSync("/run/sshd", { recursive: true, force: true });
    }
  }

  private sshFlags(key: string): string[] {
    const options = [
      "StrictHostKeyChecking=no",
      "UserKnownHostsFile=/dev/null",
      "BatchMode=yes",
      "IdentitiesOnly=yes",
    ];
    return ["-F", "none", "-i", this.path(key), ...options.flatMap((option) => ["-o", option])];
  }

  private writeWeb(): void {
    chownSync(this.path("run"), ...idsOf("www-data"));
    chmodSync(this.path("run"), 0o1777);
    writeFileSync(this.path("html", "index.html"), "<p>a page</p>\n");
    this.script(
      "cgi/status.cgi",
      '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nread -r what\neval "df $what"\nexit 0\n',
    );
    this.script(
      "cgi/words.cgi",
      '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nread -r words\necho "$words" | ptx\nexit 0\n',
    );
    writeFileSync(
      this.path("nginx.conf"),
      `user www-data; pid ${this.path("run", "nginx.pid")}; error_log ${this.path("run", "nginx.log")};
worker_processes 2; events { worker_connections 64; }
http {
  access_log ${this.path("run", "access.log")}; client_body_temp_path ${this.path("run", "body")};
  fastcgi_temp_path ${this.path("run", "fastcgi")}; proxy_temp_path ${this.path("run", "proxy")};
  uwsgi_temp_path ${this.path("run", "uwsgi")}; scgi_temp_path ${this.path("run", "scgi")};
  server {
    listen 127.0.0.1:${this.webPort}; root ${this.path("html")};
    location /cgi/ {
      include /etc/nginx/fastcgi_params; root ${this.folder};
      fastcgi_param SCRIPT_FILENAME ${this.folder}$fastcgi_script_name;
      fastcgi_pass unix:${this.path("run", "cgi.sock")};
    }
  }
}
`,
    );
  }

  private writeSsh(): void {
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.path("host-key")]);
    this.addKey("key");
    writeFileSync(
      this.path("sshd_config"),
      `ListenAddress 127.0.0.1:${this.sshPort}
HostKey ${this.path("host-key")}
PidFile ${this.path("run", "sshd.pid")}
AuthorizedKeysFile ${this.path("authorized_keys")}
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PrintMotd no
PrintLastLog no
LogLevel QUIET
${FAST_KEY_EXCHANGE}
SetEnv HOME=${this.folder}
Subsystem sftp /usr/lib/openssh/sftp-server
`,
    );
  }

  private writeCron(): void {
    this.script(
      "jobs/rotate",
      `#!/bin/sh\ncp ${this.path("run", "access.log")} ${this.path("run", "access.log.1")}\n: > ${this.path("run", "job-done")}\n`,
    );
    writeFileSync(this.path("cron.d", "jobs"), `MAILTO=""\n@reboot root run-parts ${this.path("jobs")}\n`);
    writeFileSync(this.path("crontab"), "");
    const own = (folder: string): string => `mount --bind ${this.path("spool")} ${folder}`;
    // Of its own in a mount namespace, so that the host's jobs are not run and its pid file not taken. On an empty
    // /run cron believes that the host has just started.
    this.script(
      "cron-start",
      `set -e
mount -t tmpfs -o mode=755 none /run
${own("/var/spool/cron/crontabs")}
mount --bind ${this.path("cron.d")} /etc/cron.d
[ ! -e /etc/crontab ] || mount --bind ${this.path("crontab")} /etc/crontab
exec /usr/sbin/cron -f
`,
    );
    this.script(
      "atd-start",
      `set -e
mount -t tmpfs -o mode=755 none /run
mount -t tmpfs -o mode=1770,uid=daemon,gid=daemon none /var/spool/cron/atspool
mount -t tmpfs -o mode=1770,uid=daemon,gid=daemon none /var/spool/cron/atjobs
: > /var/spool/cron/atjobs/.SEQ
chown daemon:daemon /var/spool/cron/atjobs/.SEQ
chmod 600 /var/spool/cron/atjobs/.SEQ
exec /usr/sbin/atd -f
`,
    );
  }

  private writeApache(): void {
    const state = this.path("run", "apache2");
    mkdirSync(state);
    writeFileSync(
      this.path("apache", "envvars"),
      `export APACHE_RUN_USER=www-data APACHE_RUN_GROUP=www-data APACHE_PID_FILE=${state}/apache2.pid
export APACHE_RUN_DIR=${state} APACHE_LOCK_DIR=${state} APACHE_LOG_DIR=${state} LANG=C
`,
    );
    const modules = ["mpm_event", "authz_core", "dir"];
    writeFileSync(
      this.path("apache", "apache2.conf"),
      `${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
ServerName localhost
Listen 127.0.0.1:${this.apachePort}
PidFile \${APACHE_PID_FILE}
DefaultRuntimeDir \${APACHE_RUN_DIR}
User www-data
Group www-data
ErrorLog ${state}/error.log
DocumentRoot ${this.path("html")}
DirectoryIndex index.html
`,
    );
  }

  private writeDatabase(): void {
    chownSync(this.path("data"), ...idsOf("postgres"));
    run([
      "setpriv",
      ...asUser("postgres"),
      join(postgresFolder(), "bin/initdb"),
      "-A",
      "trust",
      "--no-sync",
      "-D",
      this.path("data"),
    ]);
    writeFileSync(
      this.path("data", "postgresql.conf"),
      `listen_addresses = ''\nunix_socket_directories = '${this.path("run")}'\nshared_buffers = 1MB\nfsync = off\n`,
    );
  }

  private async startDatabase(): Promise<void> {
    await this.pgCtl("-l", this.path("data", "log"), "-w", "start");
  }

  private async stopDatabase(): Promise<void> {
    if (existsSync(this.path("data", "postmaster.pid"))) await this.pgCtl("-m", "fast", "-w", "stop");
  }

  private async pgCtl(...flags: readonly string[]): Promise<void> {
    const command = [
      "setpriv",
      ...asUser("postgres"),
      join(postgresFolder(), "bin/pg_ctl"),
      "-D",
      this.path("data"),
      ...flags,
    ];
    await this.starter.run("postgresql@15-main.service", command);
  }
}

/** Runs what prepares the server. */
function run(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: "ignore", cwd: "/", timeout: 30_000 });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ended with ${exitCode}: ${stderr}`);
}

/** setpriv(1)'s flags. */
export function asUser(user: string): string[] {
  return [`--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
}

function idsOf(user: string): [number, number] {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return [Number(uid), Number(gid)];
}

export function chownTo(path: string, user: string): void {
  chownSync(path, ...idsOf(user));
}

/** The folder of the oldest major of PostgreSQL: a test may put another beside it. */
export function postgresFolder(): string {
  const folder = "/usr/lib/postgresql";
  const [oldest] = [...new Bun.Glob("*/bin/postgres").scanSync({ cwd: folder })].sort();
  return join(folder, dirname(dirname(oldest ?? "none/bin/postgres")));
}

function pidIn(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, "latin1").trim()) : undefined;
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    // It has ended by itself.
  }
}
