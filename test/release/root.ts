// A root directory of its own for a test, in a mount namespace of its own: nothing of it is left when it is disposed.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What is in the root at first: nothing but /proc, the host's files, or an archive of a root. */
export type RootContent = "empty" | "host" | { readonly tar: string };

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

export class Root implements AsyncDisposable {
  private readonly folder: string;
  private readonly holder: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly path: string;

  private constructor(content: RootContent) {
    this.folder = mkdtempSync(join(tmpdir(), "treewarden-root-"));
    for (const name of ["space", "root"]) mkdirSync(join(this.folder, name));
    this.path = join(this.folder, "root");
    const fill =
      content === "empty"
        ? "mkdir space/root; mount --bind space/root root"
        : content === "host"
          ? "mkdir space/upper space/work; mount -t overlay -o lowerdir=/,upperdir=space/upper,workdir=space/work treewarden root"
          : `mkdir space/root; mount --bind space/root root; tar -xf '${content.tar}' -C root`;
    const script = `set -e; mount -t tmpfs -o mode=755 treewarden space; ${fill}; mkdir -p root/proc; mount -t proc proc root/proc
      rm -rf root/run/systemd/system; echo ready; read -r line`;
    // The namespace lives as long as this shell, which ends when its input is closed.
    this.holder = Bun.spawn(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], {
      cwd: this.folder,
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  static async make(content: RootContent): Promise<Root> {
    const root = new Root(content);
    const { value } = await root.holder.stdout.getReader().read();
    if (value !== undefined) return root;
    await root[Symbol.asyncDispose]();
    throw new Error("the root could not be made");
  }

  /** What begins a command line that is to run with this root. */
  get inside(): readonly string[] {
    return ["nsenter", `--mount=/proc/${this.holder.pid}/ns/mnt`, "/usr/sbin/chroot", this.path];
  }

  /** Runs a command in the root until it ends. */
  run(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Ended {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...this.inside, ...command], {
      env: { PATH, LC_ALL: "C", ...environment },
    });
    return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
  }

  /** Runs shell code outside of the root, with the root as `$ROOT`: it may lack a shell. */
  shell(code: string, ...args: readonly string[]): Ended {
    const enter = ["nsenter", `--mount=/proc/${this.holder.pid}/ns/mnt`, "sh", "-ec", code, "sh", ...args];
    const { exitCode, stdout, stderr } = Bun.spawnSync(enter, {
      env: { PATH, LC_ALL: "C", ROOT: this.path },
    });
    return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.holder.stdin.end();
    await this.holder.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
