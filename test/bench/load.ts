// The loads: many programs, started back to back.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Load {
  /** Name in tables. */
  readonly name: string;
  readonly program: string;
}

export interface LoadRun {
  readonly seconds: number;
  readonly execs: number;
}

/** The compiled loads, in a folder of their own that goes with them. */
export class Loads implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "treewarden-bench-"));
  readonly all: readonly Load[];
  private readonly spawner: string;

  constructor() {
    const programs = join(import.meta.dir, "programs");
    this.spawner = join(this.folder, "spawn");
    const leave = join(this.folder, "leave");
    compile(["-O2", "-o", this.spawner, join(programs, "spawn.c")]);
    compile(["-O2", "-static", "-nostdlib", "-fno-stack-protector", "-o", leave, join(programs, "leave.c")]);
    this.all = [
      { name: "/bin/true", program: "/bin/true" },
      { name: "a static program that only exits", program: leave },
    ];
  }

  /** Starts `load` `count` times from each of `parents` processes; every exec has `mark` and a number as arguments. */
  async run(load: Load, count: number, parents: number, mark: string): Promise<LoadRun> {
    const run = Bun.spawn([this.spawner, String(count), load.program, String(parents)], {
      env: { MARK: mark },
      stdout: "pipe",
      stderr: "inherit",
    });
    const text = await new Response(run.stdout).text();
    if ((await run.exited) !== 0) throw new Error(`${load.program} could not be started ${count} times`);
    return { seconds: Number(text) / 1e9, execs: count * parents };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function compile(args: readonly string[]): void {
  const run = Bun.spawnSync(["cc", ...args], { stderr: "inherit" });
  if (!run.success) throw new Error(`cc ${args.join(" ")} failed`);
}
