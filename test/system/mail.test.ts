import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { headerOf, writeInForce } from "../../src/cli/baseline/store.ts";
import { entry, NOON } from "../baseline/samples.ts";
import { binary, newFolder, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const parent = {
  role: "parent",
  rules: [
    { id: "unknown", when: { "!": [{ var: ["tree.known", true] }] }, action: "alert", severity: "high" },
    { id: "marked", when: { in: ["mail-me", { var: "process.command_args" }] }, action: "alert" },
  ],
  default: "allow",
};
const policy = { role: "mailed", extends: ["./parent.json"] };

/** A mail system that keeps what it gets; of the shell's own, so that it starts nothing. */
const sendmail = (folder: string) => `#!/bin/sh
{ echo "args: $*"; while IFS= read -r line; do echo "$line"; done; } > ${folder}/mail.$$
`;

describe.skipIf(reason !== undefined)("an alarm", () => {
  test("reaches the host's sendmail, whose own tree is no alarm", async () => {
    const folder = newFolder();
    try {
      const programs = join(folder, "sbin");
      const mails = join(folder, "mails");
      for (const each of [programs, mails]) mkdirSync(each);
      chmodSync(mails, 0o777);
      writeFileSync(join(programs, "sendmail"), sendmail(mails), { mode: 0o755 });
      writeFileSync(join(folder, "parent.json"), JSON.stringify(parent));
      writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
      writeFileSync(join(folder, "config.yaml"), "mail: { to: [root], every_minutes: 1 }\nevents: all\n");
      const state = join(folder, "state");
      mkdirSync(state, { mode: 0o755 });
      const known = [entry("/known")];
      writeInForce(state, { header: headerOf(known, ["here"], undefined, NOON), entries: known });
      // In a mount namespace of its own the host keeps its sendmail, or has none.
      const run = [binary, "run", "--config", `${folder}/config.yaml`, "--policy", `${folder}/policy.json`];
      const flags = ["--output", "json", "--listen", "off", "--state-dir", state];
      const script = 'mount -t overlay none -o lowerdir="$0:/usr/sbin" /usr/sbin && exec "$@"';
      await using child = Bun.spawn(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, programs, ...run, ...flags],
        { stdio: ["ignore", Bun.file(join(folder, "out")), Bun.file(join(folder, "err"))] },
      );
      const out = (): string => readFileSync(join(folder, "out"), "utf8");
      const mail = (): string =>
        readdirSync(mails)
          .map((name) => readFileSync(join(mails, name), "utf8"))
          .join("");
      const err = (): string => readFileSync(join(folder, "err"), "utf8");
      await until("started", () => {
        if (child.exitCode !== null) throw new Error(err());
        return out().includes('"warden.started"');
      });
      Bun.spawnSync(["/usr/bin/env", "true", "mail-me"]);
      await until("a whole mail", () => mail().includes("All of it, on the host"), 20_000);
      const told = (): Record<string, unknown>[] =>
        out()
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line));
      const ours = (): Record<string, unknown>[] =>
        told().filter(
          (record) =>
            record["process.runnable.path"] === "/usr/sbin/sendmail" &&
            String(record["tree.path"]).includes("treewarden/"),
        );
      await until("its own exec", () => ours().length > 0);
      expect(ours().map((record) => [record["event.name"], record["tree.known"]])).toEqual([
        ["process.exec", true],
      ]);
      expect(mail()).toStartWith("args: -t -i\nTo: root\nSubject: [treewarden] ");
      expect(mail()).toContain("parent/unknown");
      expect(mail()).toContain("  role       mailed\n");
      expect(told().filter((record) => record["security_rule.name"] === "unknown").length).toBeGreaterThan(0);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
});
