// A restart of treewarden changes no tree: not that of a process whose parents have left, nor of one that never ran an
// exec of its own.
import { describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { quietPolicy, stat } from "./live.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const RESTARTS = 10;

describe.skipIf(reason !== undefined)("ten restarts", () => {
  for (const source of ["netlink", "ebpf"]) {
    // At the same time: each restart is mostly a wait.
    test.concurrent(`change no tree of processes whose parents have left (${source})`, async () => {
      const folder = newFolder();
      for (const name of [`tw-${source}-outer`, `tw-${source}-inner`])
        copyFileSync("/bin/bash", join(folder, name));
      copyFileSync("/bin/sleep", join(folder, `tw-${source}-sleeper`));
      const [outer, inner, sleeper] = ["outer", "inner", "sleeper"].map((name) =>
        join(folder, `tw-${source}-${name}`),
      );
      const flags = ["--source", source, "--policy", quietPolicy(folder)];
      let treewarden = await Running.start(flags, {}, folder);
      const orphans: number[] = [];
      try {
        // One that runs an exec of its own, and one that is only a copy of the shell that forked it.
        const fifo = join(folder, "fifo");
        Bun.spawnSync(["mkfifo", fifo]);
        const waits = `echo $BASHPID > ${folder}/forked; read -r -t 60 <> ${fifo}`;
        const script = `${sleeper} 60 & echo $! > ${folder}/execed; (${waits}) & exit`;
        writeFileSync(join(folder, "script"), script);
        Bun.spawnSync([outer ?? "", "-c", `${inner} ${folder}/script; exit`], {
          stdio: ["ignore", "ignore", "ignore"],
        });
        for (const name of ["execed", "forked"]) {
          await until(`${name} is there`, () => read(join(folder, name)) > 0);
          orphans.push(read(join(folder, name)));
        }
        await until("their parents have left", () =>
          orphans.every((pid) => stat(pid)[1] === "1" || !isOf(pid, folder)),
        );
        const trees = (): readonly string[] => {
          const ps = Bun.spawnSync([
            treewarden.binary,
            "ps",
            "--output",
            "json",
            "--state-dir",
            `${folder}/state`,
          ]);
          const records: JsonRecord[] = ps.stdout
            .toString()
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line));
          return orphans.map((pid) => {
            const record = records.find((one) => one["process.pid"] === pid);
            return `${record?.["tree.path"]} ${record?.["tree.complete"]}`;
          });
        };
        const before = await stopped(treewarden, trees);
        expect(before[0]).toContain(`/tw-${source}-outer/tw-${source}-inner/tw-${source}-sleeper`);
        expect(before[1]).toContain(`/tw-${source}-outer/tw-${source}-inner`);
        for (let restart = 0; restart < RESTARTS; restart += 1) {
          treewarden = await Running.start(flags, {}, folder);
          const [tree = ""] = before[0]?.split(" ") ?? [];
          await until(
            "the tree is counted",
            async () => (await treewarden.metrics()).value("process", { tree, state: "RUNNING" }) === 1,
          );
          expect(await stopped(treewarden, trees)).toEqual(before);
        }
      } finally {
        for (const pid of orphans) end(pid);
        await treewarden[Symbol.asyncDispose]();
      }
    }, 60_000);
  }
});

/** What `read` gives once a run has ended, and so written down its forest. */
async function stopped<T>(treewarden: Running, read: () => T): Promise<T> {
  expect(await treewarden.stop()).toBe(0);
  return read();
}

function read(path: string): number {
  try {
    return Number(readFileSync(path, "latin1"));
  } catch {
    return 0;
  }
}

/** The parent of `pid` is one of the test's own programs. */
function isOf(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${stat(pid)[1]}/cmdline`, "latin1").includes(folder);
  } catch {
    return false;
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}
