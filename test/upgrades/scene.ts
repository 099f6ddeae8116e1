// The folder and the users of the check, and the commands that it runs as them.
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Users of the check alone: the policy ends nothing of anybody else's. */
const users = { web: "tw-upgrade-web", sql: "tw-upgrade-sql" } as const;
export type ServiceUser = keyof typeof users;

/** Not below /tmp, whose programs other rules look at. */
export const FOLDER = "/srv/treewarden-upgrades";
/** Programs of root's, as a package would bring them. */
export const INSTALLED = "/usr/local/lib/treewarden-upgrades";

const root = join(import.meta.dir, "../..");

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Where it may write. */
  readonly folder: string;
}

/** Makes folders and users; they are gone when it is disposed of. */
export class Scene implements Disposable {
  readonly accounts: Readonly<Record<ServiceUser, Account>>;

  constructor() {
    this[Symbol.dispose]();
    for (const folder of [FOLDER, INSTALLED]) mkdirSync(folder, { mode: 0o755 });
    this.accounts = { web: makeAccount("web"), sql: makeAccount("sql") };
  }

  /** Starts a program as a user of the check; returns what it printed. Throws if it fails. */
  run(user: ServiceUser, command: readonly string[]): string {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...this.as(user), ...command], {
      stdin: "ignore",
      cwd: this.accounts[user].folder,
      timeout: 120_000,
    });
    if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr}`);
    return stdout.toString();
  }

  /** setpriv(1) as a user of the check. */
  as(user: ServiceUser): string[] {
    const { uid, gid } = this.accounts[user];
    return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
  }

  [Symbol.dispose](): void {
    for (const folder of [FOLDER, INSTALLED]) rmSync(folder, { recursive: true, force: true });
    for (const name of Object.values(users)) Bun.spawnSync(["userdel", name]);
  }
}

function makeAccount(user: ServiceUser): Account {
  const name = users[user];
  must(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]);
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name}:`));
  const [, , uid, gid] = (line ?? "").split(":").map(Number);
  if (uid === undefined || gid === undefined) throw new Error(`${name} is no user`);
  const folder = join(FOLDER, user);
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, uid, gid);
  return { uid, gid, folder };
}

/** Runs a command as root. Throws if it fails. */
export function must(command: readonly string[], environment: Readonly<Record<string, string>> = {}): string {
  const env = { ...process.env, ...environment };
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    stdin: "ignore",
    env,
    timeout: 300_000,
  });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout.toString();
}

/** A file that its owner may execute. */
export function writeProgram(path: string, content: string | Uint8Array, owner?: Account): string {
  writeFileSync(path, content);
  chmodSync(path, 0o755);
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  return path;
}

/** Compiles the program whose first system call writes a byte to descriptor 9. */
export function compileWriter(path: string): void {
  must(["gcc", "-O1", "-nostdlib", "-static", "-o", path, join(root, "test/system/prevention-program.c")]);
}

/** Compiles the intruder's code for a server whose files are in `folder`. */
export function compileExploit(path: string, folder: string, ...defined: readonly string[]): void {
  const flags = [`-DFOLDER="${folder}"`, ...defined];
  must(["gcc", "-O1", "-shared", "-fPIC", ...flags, "-o", path, join(root, "test/upgrades/exploit.c")]);
  if (!existsSync(path)) throw new Error(`${path} was not compiled`);
}
