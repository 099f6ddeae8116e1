// A disk for the state directory that a test can fill.
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder } from "./treewarden.ts";

/** Room for some 200 alerts. */
const ROOM = 1 << 20;

/** A tmpfs of its own for the state directory, on which only some room is left once it is filled. */
export class SmallDisk implements Disposable {
  readonly folder = newFolder();
  readonly state = join(this.folder, "state");
  private readonly filler = join(this.state, "filler");

  constructor(megabytes = 8) {
    mkdirSync(this.state, { mode: 0o755 });
    const options = `size=${megabytes}m,mode=755`;
    const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "tmpfs", this.state]);
    if (mounted.exitCode !== 0) throw new Error(mounted.stderr.toString());
  }

  /** Leaves only so many bytes. */
  fill(room = ROOM): void {
    const { bavail, bsize } = statfsSync(this.state);
    writeFileSync(this.filler, new Uint8Array(Math.max(0, bavail * bsize - room)));
  }

  makeRoom(): void {
    rmSync(this.filler);
    Bun.spawnSync(["mount", "-o", "remount,size=64m", this.state]);
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["umount", "-l", this.state]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
