// The loads: many programs, started back to back or at a rate, and some that stay.
import { copyFileSync, mkdirSync, realpathSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

export interface Load {
  /** Name in tables. */
  readonly name: string;
  readonly program: string;
  /** The executable that runs, and its label in a tree. */
  readonly executable: string;
  readonly label: string;
}

export interface LoadRun {
  readonly seconds: number;
  readonly execs: number;
}

export interface PacedRun extends LoadRun {
  /** ns that posix_spawn(3) took: it returns when the child's exec is done. */
  readonly spawns: readonly number[];
  /** ns from posix_spawn(3) to the program's first instruction, if it told. */
  readonly starts: readonly number[];
  /** ns from there (else from posix_spawn(3)) to its end: of those that SIGKILL ended, and of the others. */
  readonly killed: readonly number[];
  readonly ended: readonly number[];
}

const programs = join(import.meta.dir, "programs");
const withoutLibrary = ["-O2", "-static", "-nostdlib", "-fno-stack-protector"];

/** The compiled loads and a copy of treewarden, in a folder of their own that goes with them. */
export class Loads implements Disposable {
  /**
   * Where a server's programs lie, with a name that does not look random: a program in /tmp would draw an alert for
   * every exec.
   */
  readonly folder = join("/usr/local/lib", `treewarden-bench-${process.pid}`);
  readonly all: readonly Load[];
  /** Tells when it began to run, then ends. */
  readonly stamp: string;
  /** Tells when it began to run, then waits a second to be killed. */
  readonly victim: string;
  /** See paced.c. */
  readonly pacer: string;
  /** A copy: a build meanwhile changes nothing. */
  readonly treewarden: string;
  private readonly lasting: string;
  private readonly spawner: string;
  private readonly holder: string;
  private readonly namer: string;

  constructor() {
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { mode: 0o755 });
    this.spawner = this.compile("spawn", "spawn.c", ["-O2"]);
    this.pacer = this.compile("paced", "paced.c", ["-O2"]);
    this.holder = this.compile("hold", "hold.c", ["-O2"]);
    this.namer = this.compile("names", "names.c", ["-O2"]);
    this.stamp = this.compile("stamp", "stamp.c", withoutLibrary);
    this.victim = this.compile("victim", "stamp.c", [...withoutLibrary, "-DWAIT=1"]);
    this.lasting = this.compile("lasting", "stamp.c", [...withoutLibrary, "-DWAIT=3600"]);
    const leave = this.compile("leave", "leave.c", withoutLibrary);
    this.treewarden = join(this.folder, "treewarden");
    copyFileSync(join(import.meta.dir, "../../dist/treewarden"), this.treewarden);
    this.all = [
      { name: "/bin/true", program: "/bin/true", executable: realpathSync("/bin/true"), label: "base" },
      {
        name: "a static program that only exits",
        program: leave,
        executable: leave,
        label: basename(leave),
      },
    ];
  }

  /** The static program: the shortest lives. */
  get shortest(): Load {
    const load = this.all.at(-1);
    if (load === undefined) throw new Error("there are no loads");
    return load;
  }

  /**
   * Starts `load` `count` times from each of `parents` processes; every exec has `mark` and a number as arguments, and
   * `variables` variables of 50 bytes in its environment.
   */
  async run(load: Load, count: number, parents: number, mark: string, variables = 0): Promise<LoadRun> {
    const command = [this.spawner, String(count), load.program, String(parents)];
    const text = await output(command, mark, { VARIABLES: String(variables) });
    return { seconds: Number(text) / 1e9, execs: count * parents };
  }

  /** Starts `program` `rate` times a second (0: back to back) for `seconds`, with the same arguments as `run`. */
  paced(program: string, rate: number, seconds: number, mark = "paced"): Promise<PacedRun> {
    return this.pacedBy([this.pacer], program, rate, seconds, "different", mark);
  }

  /** As `paced`, by the command `pacer`, which runs paced.c. Whether the arguments of each exec are the same. */
  async pacedBy(
    pacer: readonly string[],
    program: string,
    rate: number,
    seconds: number,
    args: "same" | "different",
    mark = "paced",
  ): Promise<PacedRun> {
    const command = [...pacer, String(rate), String(seconds), program];
    const text = await output(command, mark, args === "same" ? { SAME: "1" } : {});
    const [head = [], ...rows] = text
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number));
    const starts = rows.map(([start = -1]) => start).filter((start) => start >= 0);
    const ends = rows.map(([, end = 0]) => end);
    const killed = ends.filter((end) => end > 0);
    const ended = ends.filter((end) => end < 0).map((end) => -end);
    const spawns = rows.map(([, , spawn = 0]) => spawn);
    return { seconds: (head[0] ?? 0) / 1e9, execs: head[1] ?? 0, spawns, starts, killed, ended };
  }

  /** Runs the shortest program under `count` different names in `folder`, `rate` a second. */
  newNames(folder: string, count: number, rate: number): Bun.Subprocess {
    const command = [this.namer, folder, this.shortest.program, String(count), String(rate)];
    return Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  }

  /** `count` processes that live until the result is disposed of. */
  async hold(count: number): Promise<AsyncDisposable> {
    const run = Bun.spawn([this.holder, String(count), this.lasting], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const reader = run.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    return {
      [Symbol.asyncDispose]: async () => {
        await run.stdin.end();
        if ((await run.exited) !== 0) throw new Error(`${count} processes could not be started`);
      },
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private compile(name: string, source: string, options: readonly string[]): string {
    const path = join(this.folder, name);
    const args = [...options, "-o", path, join(programs, source)];
    if (!Bun.spawnSync(["cc", ...args], { stderr: "inherit" }).success)
      throw new Error(`cc ${args.join(" ")} failed`);
    return path;
  }
}

async function output(
  command: string[],
  mark: string,
  variables: Readonly<Record<string, string>>,
): Promise<string> {
  const run = Bun.spawn(command, { env: { MARK: mark, ...variables }, stdout: "pipe", stderr: "inherit" });
  const text = await new Response(run.stdout).text();
  if ((await run.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
  return text;
}
