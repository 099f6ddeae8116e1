// A program that hides behind a base tool's path, mounted over it where everybody may: by both sensors.
import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { quietPolicy } from "./live.ts";
import { type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

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
});
