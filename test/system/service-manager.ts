// A small service manager for tests: it starts programs in control groups that are named as systemd's units are, below
// a process of its own whose parent is pid 1. Whatever runs the tests is then no ancestor of the services.
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { stat } from "./live.ts";
import { until } from "./treewarden.ts";

/** The label of the manager, which is in every tree of a service that it has started. */
export const MANAGER = "site-manager";

export type Environment = Readonly<Record<string, string>>;

/** A program that was started in the foreground. */
export interface Service {
  readonly pid: number;
  /** Ends it by SIGTERM, and waits for its end. */
  readonly stop: () => Promise<void>;
}

/** How a server starts its programs. */
export interface Starter {
  /** Runs a command in a unit until it ends; throws unless it ends with 0. */
  readonly run: (unit: string, command: readonly string[], environment?: Environment) => Promise<void>;
  readonly spawn: (unit: string, command: readonly string[]) => Promise<Service>;
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const quiet = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;

/** Starts programs as children of the test's own process, in the control group that it is in. */
export const directly: Starter = {
  run: async (_unit, command, environment = {}) => {
    // No pipes: daemons would keep them open.
    const env = { PATH, ...environment };
    const { exitCode } = Bun.spawnSync([...command], { ...quiet, env, cwd: "/", timeout: 30_000 });
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ended with ${exitCode}`);
  },
  spawn: async (_unit, command) => {
    const child = Bun.spawn([...command], quiet);
    const stop = async (): Promise<void> => {
      child.kill("SIGTERM");
      await child.exited;
    };
    return { pid: child.pid, stop };
  },
};

/** Where the control groups that the sensors read first are mounted. */
const HIERARCHIES = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/** Why no service manager can run here; undefined if it can. */
export function missingUnits(): string | undefined {
  const hierarchy = hierarchyOf();
  if (hierarchy === undefined) return `no control groups of version 2 in ${HIERARCHIES.join(", ")}`;
  try {
    accessSync(hierarchy, constants.W_OK);
    return undefined;
  } catch {
    return `no control group can be made in ${hierarchy}`;
  }
}

function hierarchyOf(): string | undefined {
  return HIERARCHIES.find((path) => existsSync(join(path, "cgroup.procs")));
}

/**
 * Reads lines of a control group and a file of shell code, and executes each in a subshell that belongs to the group
 * and is a child of pid 1, as systemd's services are.
 */
const SCRIPT = `#!/bin/bash
while read -r group file; do
  ( ( echo $BASHPID > "$group/cgroup.procs"; echo $BASHPID > "$file.pid"; . "$file" ) < /dev/null > /dev/null 2>&1 9>&- & )
done < "$1"
`;

export class ServiceManager implements Starter, AsyncDisposable {
  readonly pid: number;
  private readonly folder: string;
  private readonly group: string;
  private readonly requests: string;
  private requested = 0;

  /** Runs at once. `folder`: where its files are; it must exist. */
  constructor(folder: string) {
    this.folder = folder;
    const hierarchy = hierarchyOf();
    if (hierarchy === undefined) throw new Error(missingUnits());
    this.group = join(hierarchy, `treewarden-test-${process.pid}`);
    mkdirSync(this.group, { recursive: true });
    const script = join(folder, MANAGER);
    writeFileSync(script, SCRIPT);
    chmodSync(script, 0o755);
    this.requests = join(folder, "requests");
    Bun.spawnSync(["mkfifo", "-m", "600", this.requests]);
    // It opens the pipe for writing as well, so that it does not end with the first writer. The shell in between ends,
    // so that the manager becomes a child of pid 1.
    const start = 'exec 9<> "$1"; setsid "$0" "$1" < /dev/null > /dev/null 2>&1 & echo $!';
    const { stdout } = Bun.spawnSync(["sh", "-c", start, script, this.requests], { cwd: "/" });
    this.pid = Number(stdout.toString());
  }

  async run(unit: string, command: readonly string[], environment: Environment = {}): Promise<void> {
    const file = await this.request(
      unit,
      (path) => `${quoted(command)}\necho $? > ${path}.done\n`,
      environment,
    );
    await until(`${command.join(" ")} has ended`, () => written(`${file}.done`) !== "", 120_000);
    const code = written(`${file}.done`);
    if (code !== "0") throw new Error(`${command.join(" ")}: ended with ${code}`);
  }

  async spawn(unit: string, command: readonly string[]): Promise<Service> {
    const file = await this.request(unit, () => `exec ${quoted(command)}\n`, {});
    const pid = Number(written(`${file}.pid`));
    const stop = async (): Promise<void> => {
      if (isRunning(pid)) process.kill(pid, "SIGTERM");
      await until(`${command.join(" ")} has ended`, () => !isRunning(pid));
    };
    return { pid, stop };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (isRunning(this.pid)) process.kill(this.pid, "SIGTERM");
    await until("the manager has ended", () => !isRunning(this.pid));
    await until("no process is left in a unit", () => removed(this.group), 10_000);
  }

  /** Has code executed in a unit, and waits until it has begun; the path of its file. */
  private async request(
    unit: string,
    code: (path: string) => string,
    environment: Environment,
  ): Promise<string> {
    this.requested += 1;
    const group = join(this.group, unit);
    mkdirSync(group, { recursive: true });
    const file = join(this.folder, `request-${this.requested}`);
    const variables = Object.entries({ PATH, ...environment }).map(([name, value]) =>
      quoted([`${name}=${value}`]),
    );
    writeFileSync(file, `cd /\nexport ${variables.join(" ")}\n${code(file)}`);
    writeFileSync(this.requests, `${group} ${file}\n`);
    await until("the manager has begun", () => written(`${file}.pid`) !== "");
    return file;
  }
}

/** Whether a process has not ended. Pid 1 may take its time to reap one that has. */
export function isRunning(pid: number): boolean {
  const [state = "X"] = stat(pid);
  return !"ZX".includes(state || "X");
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** The only line of a file; empty while there is none. */
function written(path: string): string {
  return existsSync(path) ? readFileSync(path, "latin1").trim() : "";
}

/** Removes a control group and those below it; false while a process is in one. */
function removed(group: string): boolean {
  try {
    for (const name of readdirSync(group))
      if (statSync(join(group, name)).isDirectory()) removed(join(group, name));
    rmdirSync(group);
    return true;
  } catch {
    return false;
  }
}
