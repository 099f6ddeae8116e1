// What is learned of the files themselves: the examiner's later answer reaches the row, and with it the file in force.
import { afterEach, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseBaseline } from "../../src/baseline/baseline-file.ts";
import { parseExecutables } from "../../src/baseline/executables.ts";
import { quietPolicy } from "./live.ts";
import { baseline, learnedRows } from "./server-watch.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);
const noDatabase = Bun.which("dpkg-query") === null;
if (noDatabase) console.log("skipped: this test needs dpkg's database");

const stranger = "/usr/bin/tw-test-learned";
/** What was learned is reported every two seconds, its digests when the examiner, last in line for the CPU, has read the files. */
const REPORTED_WITHIN_MS = 20_000;

afterEach(() => rmSync(stranger, { force: true }));

function digestOf(path: string): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex")}`;
}

test.skipIf(reason !== undefined || noDatabase)(
  "a learned tree has package and digest of what it runs, and of nothing that was not looked at",
  async () => {
    copyFileSync("/bin/true", stranger);
    // A file that was just written may still be written to: the answer would not be the last one.
    await Bun.sleep(4_000);
    const folder = newFolder();
    await using running = await Running.start(["--policy", quietPolicy(folder)], {}, folder);
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.learning");
    Bun.spawnSync([stranger]);
    Bun.spawnSync(["/usr/bin/tac", "/dev/null"]);
    const isDescribed = (path: string): boolean =>
      learnedRows(running)
        .filter((row) => row.path === path)
        .flatMap((row) => parseExecutables(row.executables) ?? [])
        .some((executable) => executable.package !== undefined && executable.digest !== undefined);
    await until(
      "package and digest of both are reported",
      () => isDescribed(stranger) && isDescribed("/usr/bin/tac"),
      REPORTED_WITHIN_MS,
    );
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.stopped");
    expect(baseline(running, "accept", "--anyway").code).toBe(0);

    const parsed = parseBaseline(readFileSync(join(running.folder, "state/baseline/in-force")));
    const entries = parsed.ok ? parsed.value.entries : [];
    const executables = entries.flatMap((entry) => entry.executables);
    const of = (path: string) => executables.find((one) => one.path === path);
    expect(of(stranger)).toEqual({
      path: stranger,
      package: null,
      modified: false,
      digest: digestOf(stranger),
    });
    expect(of("/usr/bin/tac")).toEqual({
      path: "/usr/bin/tac",
      package: "coreutils",
      modified: false,
      digest: digestOf("/usr/bin/tac"),
    });
  },
  60_000,
);
