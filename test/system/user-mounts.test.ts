// A program that hides behind a base tool's path, mounted over it where everybody may: by both sensors.
import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { quietPolicy } from "./live.ts";
import { binary, type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Told as a new tree, of a program with that first argument. */
const withArgument =
  (argument: string) =>
  (record: JsonRecord): boolean => {
    const args = record["process.command_args"];
    return record["event.name"] === "tree.new" && Array.isArray(args) && args[1] === argument;
  };

describe.skipIf(reason !== undefined).each(["ebpf", "netlink"])("by %s", (source) => {
  test("what nobody mounted over a base tool is not called base; the tool itself is", async () => {
    const folder = newFolder();
    const hidden = join(folder, "hidden");
    copyFileSync("/usr/bin/sleep", hidden);
    for (const path of [folder, hidden]) chmodSync(path, 0o755);
    await using running = await Running.start(
      ["--source", source, "--policy", quietPolicy(folder)],
      {},
      folder,
    );
    const script = `mount --bind '${hidden}' /usr/bin/tac && exec /usr/bin/tac 11.5`;
    const user = ["setpriv", "--reuid", "65534", "unshare", "-Urm", "sh", "-c", script];
    const posing = Bun.spawn(user, { stdio: ["ignore", "ignore", "inherit"] });
    const tool = Bun.spawn(["/usr/bin/tac", "--", "-"], { stdio: ["pipe", "ignore", "inherit"] });
    try {
      const posed = await running.seen(withArgument("11.5"));
      const plain = await running.seen(withArgument("--"));
      for (const record of [posed, plain]) expect(record["process.executable.path"]).toBe("/usr/bin/tac");
      expect(String(posed["tree.path"])).toEndWith("/tac");
      expect(String(plain["tree.path"])).toEndWith("/base");
    } finally {
      posing.kill();
      tool.kill();
      await Promise.all([posing.exited, tool.exited]);
    }
  }, 30_000);

  test("in a storm of the host's own programs, the same program of a sandbox is not called base either", async () => {
    const storm = Bun.spawn(["sh", "-c", "while :; do /usr/bin/true; done"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    const trace = Bun.spawn([binary, "trace", "--source", source, "--output", "json"], { stderr: "inherit" });
    const told = new Response(trace.stdout).text();
    try {
      await Bun.sleep(1_000);
      const script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.0511; done";
      const plain = Bun.spawn(["sh", "-c", script.replaceAll("0511", "0522")], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      const sandbox = ["setpriv", "--reuid", "65534", "unshare", "-Urm", "sh", "-c", script];
      const boxed = Bun.spawn(sandbox, { stdio: ["ignore", "ignore", "inherit"] });
      await Promise.all([plain.exited, boxed.exited]);
      await Bun.sleep(500);
    } finally {
      storm.kill();
      trace.kill();
      await Promise.all([storm.exited, trace.exited]);
    }
    const records = (await told)
      .split("\n")
      .flatMap((line): JsonRecord[] => (line === "" ? [] : [JSON.parse(line)]));
    for (const [argument, label] of [
      ["0.0511", "/sleep"],
      ["0.0522", "/base"],
    ] as const) {
      const trees = records
        .filter(
          ({ "process.command_args": args }) =>
            Array.isArray(args) && args[0] === "sleep" && args[1] === argument,
        )
        .map((record) => String(record["tree.path"]));
      // The process connector reads arguments after the exec, for 5 ms at most: in a storm one may be missing.
      expect(trees.length).toBeWithin(source === "netlink" ? 8 : 10, 11);
      for (const tree of trees) expect(tree).toEndWith(label);
    }
  }, 30_000);
});
