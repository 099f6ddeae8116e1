// PostgreSQL as its package has it, as a user of the check, with an archive command, and its ordinary life.
import { appendFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { until } from "../system/treewarden.ts";
import { DatabaseConnection } from "./database-connection.ts";
import { Intruder } from "./intruder.ts";
import { compileExploit, FOLDER, type Scene, writeProgram } from "./scene.ts";

/** The command line of the shell that archives a segment of the log. */
export const archiveCommandLine =
  "^sh -c (-- )?test ! -f [/\\w-]+/archive/\\w+ && cp pg_wal/\\w+ [/\\w-]+/archive/\\w+$";
/** Has the intruder's code in the server act. */
const EXPLOIT = "select exploit()";
/** Jobs at a time. */
const CLIENTS = 4;

export class Database implements AsyncDisposable {
  readonly intruder: Intruder;
  private readonly scene: Scene;
  private readonly folder: string;
  private readonly programs: string;
  private readonly library = join(FOLDER, "exploit-in-postgresql.so");

  constructor(scene: Scene) {
    this.scene = scene;
    this.folder = scene.accounts.sql.folder;
    this.programs = programsFolder();
    const version = this.run("postgres", "--version").match(/\) (\d+)/)?.[1];
    compileExploit(this.library, this.folder, `-DPG_VERSION_NUMBER=${Number(version) * 100}`);
    this.scene.run("sql", ["mkdir", this.path("archive"), this.path("dumps")]);
    // Segments as small as they can be, so that many are archived.
    this.run("initdb", "-A", "trust", "--no-sync", "--wal-segsize=1", "-D", this.path("data"));
    const archive = this.path("archive");
    appendFileSync(
      this.path("data", "postgresql.conf"),
      `listen_addresses = ''\nunix_socket_directories = '${this.folder}'\nfsync = off\nshared_buffers = 16MB
archive_mode = on\narchive_command = 'test ! -f ${archive}/%f && cp %p ${archive}/%f'
logging_collector = on\nlog_directory = '${this.path("logs")}'\nmin_wal_size = 2MB\nmax_wal_size = 8MB\n`,
    );
    mkdirSync(join(FOLDER, "jobs"), { mode: 0o755 });
    writeFileSync(join(FOLDER, "jobs", "job.sql"), "insert into work (what) values (random());\n");
    const client = `"${join(this.programs, "psql")}" -X -h "${this.folder}" -d postgres`;
    writeProgram(
      join(FOLDER, "jobs", "report"),
      `#!/bin/sh\n${client} -Atc "select count(*) from work" | gzip > "${this.path("dumps", "report.gz")}"\n`,
    );
    this.intruder = new Intruder(scene.accounts.sql, async () => void this.query(EXPLOIT));
  }

  start(): void {
    this.control("-w", "-l", this.path("start.log"), "start");
    this.query("create table if not exists work (id serial, what float)");
    const code = `as '${this.library}', 'exploit' language c`;
    this.query(`create or replace function exploit() returns void ${code}`);
  }

  /** An intruder in the backend of a connection that stays, as those of a web application do. */
  connectIntruder(): { readonly intruder: Intruder; readonly connection: DatabaseConnection } {
    const connection = new DatabaseConnection([...this.scene.as("sql"), ...this.client()], this.folder);
    return { intruder: new Intruder(this.scene.accounts.sql, () => connection.query(EXPLOIT)), connection };
  }

  stop(): void {
    if (existsSync(this.path("data", "postmaster.pid"))) this.control("-w", "-m", "fast", "stop");
  }

  reload(): void {
    this.control("reload");
  }

  rotate(): void {
    this.query("select pg_rotate_logfile()");
  }

  /** SQL jobs by several clients beside each other; all of them must succeed. */
  async work(jobs: number): Promise<void> {
    const each = Math.ceil(jobs / CLIENTS);
    const flags = ["-n", "-h", this.folder, "-c", `${CLIENTS}`, "-t", `${each}`];
    const command = [
      join(this.programs, "pgbench"),
      ...flags,
      "-f",
      join(FOLDER, "jobs/job.sql"),
      "postgres",
    ];
    const client = Bun.spawn([...this.scene.as("sql"), ...command], {
      cwd: this.folder,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    if ((await client.exited) !== 0) throw new Error(`pgbench: ${await new Response(client.stderr).text()}`);
  }

  /** Has segments archived, and waits until they are. */
  async archive(segments: number): Promise<void> {
    const before = this.archived();
    for (let i = 0; i < segments; i += 1) {
      this.query("insert into work (what) values (0)");
      this.query("select pg_switch_wal()");
    }
    await until("PostgreSQL has archived", () => this.archived() >= before + segments, 30_000);
  }

  /** A job as cron starts it: a script that has a query's answer packed. */
  report(): void {
    this.scene.run("sql", [join(FOLDER, "jobs", "report")]);
  }

  /** The way of SQL to start a program: by a shell. The error that the server answers with, or undefined. */
  copyFromProgram(command: string): string | undefined {
    try {
      this.query(`create temp table output (line text); copy output from program '${command}'`);
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  query(sql: string): string {
    return this.scene.run("sql", [...this.client(), "-c", sql]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }

  private client(): readonly string[] {
    return [join(this.programs, "psql"), "-X", "-h", this.folder, "-d", "postgres", "-Atq"];
  }

  private archived(): number {
    return readdirSync(this.path("archive")).length;
  }

  private control(...flags: readonly string[]): void {
    this.run("pg_ctl", "-D", this.path("data"), ...flags);
  }

  private run(program: string, ...flags: readonly string[]): string {
    return this.scene.run("sql", [join(this.programs, program), ...flags]);
  }

  private path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }
}

/** The programs of the newest major that is installed. */
function programsFolder(): string {
  const folder = "/usr/lib/postgresql";
  const found = [...new Bun.Glob("*/bin/postgres").scanSync({ cwd: folder })];
  const newest = found.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)).at(-1);
  if (newest === undefined) throw new Error("no PostgreSQL is installed");
  return join(folder, dirname(newest));
}
