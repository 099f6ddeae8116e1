// A site: the server of server-fixture.ts as services in units, with an application in Java, jobs of every day, a
// configuration that is managed from elsewhere, and administrators.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeJar } from "./java-program.ts";
import { asUser, chownTo, postgresFolder, Server, serverFolder } from "./server-fixture.ts";
import { MANAGER, ServiceManager } from "./service-manager.ts";
import { type JsonRecord, type Running, until } from "./treewarden.ts";

const JAVA = "/usr/lib/jvm";
/** Tells a copy that a test has left behind from a package's folder. */
const MARK = ".treewarden-test";

export class Site implements AsyncDisposable {
  readonly server: Server;
  private readonly manager: ServiceManager;
  private readonly copies: string[] = [];
  private ansibleRuns = 0;
  private reports = 0;

  constructor() {
    const folder = serverFolder();
    this.manager = new ServiceManager(folder);
    this.server = new Server(this.manager, folder);
    this.writeDaily();
    this.writeReport();
    writeJar(this.path("shop.jar"));
    writeFileSync(this.path(".bashrc"), "PS1='$ '\n");
  }

  path(...names: readonly string[]): string {
    return this.server.path(...names);
  }

  /** What each day brings. */
  async live(): Promise<void> {
    await this.server.live();
    await this.server.words("a b");
    this.server.ssh("uptime; true");
    this.terminal("uptime");
    this.ansible();
    await this.report();
    await this.shop();
  }

  /** A login with a terminal, in which the lines are typed. */
  terminal(...lines: readonly string[]): void {
    this.server.login([...lines, "exit"]);
  }

  /**
   * A task as Ansible runs it: a temporary folder, a module copied into it by sftp, executed with a terminal, and
   * removed. The names are new each time.
   */
  ansible(): void {
    this.ansibleRuns += 1;
    const digits = `${Date.now() / 1000}-${10_000 + this.ansibleRuns}-${Math.floor(Math.random() * 1e15)}`;
    const folder = `${this.path(".ansible/tmp")}/ansible-tmp-${digits}`;
    const module = `${folder}/AnsiballZ_command.py`;
    const local = this.path("run", "module.py");
    writeFileSync(local, MODULE);
    const shell = (code: string): string => this.server.ssh(`/bin/sh -c '${code} && sleep 0'`);
    shell("echo ~");
    shell(
      `( umask 77 && mkdir -p "\` echo ${this.path(".ansible/tmp")} \`" && mkdir "\` echo ${folder} \`" && echo x="\` echo ${folder} \`" )`,
    );
    this.server.sftp(`put ${local} ${module}`);
    shell(`chmod u+x ${folder}/ ${module}`);
    this.server.ssh(`/bin/sh -c '/usr/bin/python3 ${module} && sleep 0'`, "key", ["-tt"]);
    shell(`rm -f -r ${folder}/ > /dev/null 2>&1`);
    if (existsSync(folder)) throw new Error(`${folder} was not removed`);
  }

  /** cron's jobs of the day: those of the packages that are here, and logrotate with the site's own configuration. */
  async daily(): Promise<void> {
    const mark = this.path("run", "daily-done");
    rmSync(mark, { force: true });
    const job = `@reboot root cd / && run-parts --report /etc/cron.daily; : > ${mark}\n`;
    writeFileSync(this.path("cron.d", "daily"), `MAILTO=""\n${job}`);
    await this.server.stopCron();
    await this.server.startCron();
    await until("the jobs of the day ran", () => existsSync(mark), 30_000);
    rmSync(this.path("cron.d", "daily"));
  }

  /** The report's script, generated anew with the date of its generation in it, and executed by its service. */
  async report(): Promise<void> {
    this.reports += 1;
    this.server.script(
      "jobs/report",
      `#!/bin/sh\n# generated ${new Date().toISOString()}, ${this.reports}\ndate | wc -c\n`,
    );
    await this.manager.run("report.service", [this.path("jobs/report")]);
  }

  /** Python code that is installed once, as a service of its own executes it. */
  async count(interpreter = "/usr/bin/python3", environment: Record<string, string> = {}): Promise<void> {
    await this.manager.run("count.service", [interpreter, this.path("count.py")], environment);
  }

  /** The application starts a command by way of the Java virtual machine's own helper. */
  async shop(java = javaFolder()): Promise<void> {
    const program = join(java, "bin/java");
    await this.manager.run("shop.service", [program, "-jar", this.path("shop.jar"), "sh", "-c", "uptime"]);
  }

  /** Another major of Java beside the old: the folder of a copy of the installed one. */
  anotherJava(): string {
    return this.copyOf(javaFolder(), join(JAVA, "java-21-openjdk-amd64"));
  }

  /** Likewise of PostgreSQL. */
  anotherPostgres(): string {
    const major = Number(/(\d+)$/.exec(postgresFolder())?.[1]);
    return this.copyOf(postgresFolder(), `/usr/lib/postgresql/${major + 1}`);
  }

  /** Starts PostgreSQL's programs in `folder` as another cluster, queries it, and stops it. */
  async anotherCluster(folder: string): Promise<void> {
    const data = this.path("data-of-another");
    const asPostgres = ["setpriv", ...asUser("postgres")];
    mkdirSync(data, { mode: 0o700 });
    chownTo(data, "postgres");
    const made = Bun.spawnSync(
      [...asPostgres, join(folder, "bin/initdb"), "-A", "trust", "--no-sync", "-D", data],
      {
        cwd: "/",
      },
    );
    if (!made.success) throw new Error(made.stderr.toString());
    writeFileSync(
      join(data, "postgresql.conf"),
      `listen_addresses = ''\nunix_socket_directories = '${data}'\nshared_buffers = 1MB\nfsync = off\n`,
    );
    const control = [...asPostgres, join(folder, "bin/pg_ctl"), "-D", data, "-w"];
    const unit = `postgresql@${folder.slice(folder.lastIndexOf("/") + 1)}-main.service`;
    await this.manager.run(unit, [...control, "-l", join(data, "log"), "start"]);
    const query = [join(folder, "bin/psql"), "-h", data, "-d", "postgres", "-c", "select 1"];
    await this.manager.run("report.service", [...asPostgres, ...query]);
    await this.manager.run(unit, [...control, "-m", "fast", "stop"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.server.stop();
    } finally {
      await this.manager[Symbol.asyncDispose]();
      for (const copy of this.copies) rmSync(copy, { recursive: true, force: true });
      await this.server[Symbol.asyncDispose]();
    }
  }

  /** Hard links: no space, and the programs' paths are those of the copy. */
  private copyOf(folder: string, copy: string): string {
    if (existsSync(join(copy, MARK))) rmSync(copy, { recursive: true });
    if (existsSync(copy)) return copy;
    const { exitCode, stderr } = Bun.spawnSync(["cp", "-al", folder, copy]);
    this.copies.push(copy);
    writeFileSync(join(copy, MARK), "");
    if (exitCode !== 0) throw new Error(stderr.toString());
    return copy;
  }

  private writeDaily(): void {
    mkdirSync(this.path("cron.daily"));
    for (const name of ["logrotate", "dpkg"]) {
      const job = `/etc/cron.daily/${name}`;
      if (existsSync(job)) this.server.script(`cron.daily/${name}`, readFileSync(job, "utf8"));
    }
    const log = this.path("run", "access.log");
    const reopen = `kill -USR1 $(cat ${this.path("run", "nginx.pid")})`;
    writeFileSync(
      this.path("logrotate.conf"),
      `su root root\n${log} {\n  rotate 3\n  size 1\n  missingok\n  postrotate\n    ${reopen}\n  endscript\n}\n`,
      { mode: 0o644 },
    );
    // The jobs change the site's files only, not the host's.
    const start = readFileSync(this.path("cron-start"), "utf8");
    const more = [
      `mount --bind ${this.path("cron.daily")} /etc/cron.daily`,
      `mount --bind ${this.path("logrotate.conf")} /etc/logrotate.conf`,
      "mount -t tmpfs none /var/lib/logrotate",
      "mount -t tmpfs none /var/backups",
    ];
    this.server.script("cron-start", start.replace("exec ", `${more.join("\n")}\nexec `));
  }

  private writeReport(): void {
    // Before the job that tells that cron's jobs have run.
    this.server.script("jobs/clock", "#!/bin/sh\ndate\n");
    writeFileSync(this.path("count.py"), "import os\nprint(len(os.listdir('/')))\n");
  }
}

/** What AnsiballZ does, in short: it unpacks the module into a temporary folder, and the module runs a command. */
const MODULE = `import os, shutil, subprocess, tempfile
folder = tempfile.mkdtemp(prefix="ansible_command_payload_")
try:
    with open(os.path.join(folder, "module.py"), "w") as module:
        module.write("pass")
    subprocess.run(["/bin/sh", "-c", "uptime"], stdout=subprocess.DEVNULL)
finally:
    shutil.rmtree(folder)
`;

function javaFolder(): string {
  const found = readdirSync(JAVA).find(
    (name) => /^java-\d+-openjdk-\w+$/.test(name) && !isCopy(join(JAVA, name)),
  );
  if (found === undefined) throw new Error(`no Java in ${JAVA}`);
  return join(JAVA, found);
}

function isCopy(folder: string): boolean {
  return existsSync(join(folder, MARK));
}

/** Verdicts on what the site runs, also those folded with an earlier one, from record number `from` on. */
export function alarmsOfSite(running: Running, from = 0): JsonRecord[] {
  return running.records
    .slice(from)
    .filter((record) => /^policy\.verdict/.test(String(record["event.name"])) && isSites(record));
}

function isSites(record: JsonRecord): boolean {
  return String(record["tree.exact"]).split("/").includes(MANAGER);
}

/** What of a verdict explains it in a failed test. */
export function summaryOf(record: JsonRecord): string {
  const rules = record["policy.matched_rules"];
  const args = record["process.command_args"];
  return [
    Array.isArray(rules) ? rules.join(" ") : "",
    String(record["process.unit"]),
    String(record["tree.habit"] ?? record["tree.exact"]),
    Array.isArray(args) ? args.join(" ").slice(0, 120) : "",
  ].join(" | ");
}
