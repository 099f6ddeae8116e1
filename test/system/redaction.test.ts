// What leaves the host when programs are started with secrets: standard output, the journal and OTLP.
import { expect, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unambiguous } from "../../src/linux/text.ts";
import { commandLines, harmless, withSecrets } from "../report/redaction/command-lines.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Verdicts of one program with more different arguments a minute are folded into one record. */
const FOR_EACH_PROGRAM = 8;
const ancestorSecret = "ancest0rSecret";

test.skipIf(reason !== undefined)(
  "no output has a secret of a started program, and what has none is readable",
  async () => {
    const folder = newFolder();
    const programs = join(folder, "programs");
    mkdirSync(programs);
    const policy = join(folder, "policy.json");
    const when = { glob: [{ var: "process.executable.path" }, `${programs}/*`] };
    writeFileSync(policy, JSON.stringify({ role: "secrets", rules: [{ id: "any", when, action: "alert" }] }));
    const bodies: string[] = [];
    using collector = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        bodies.push(await request.text());
        return Response.json({});
      },
    });
    try {
      await using running = await Running.start(["--policy", policy], {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_COMPRESSION: "none",
      });
      for (const [i, { args }] of commandLines.entries()) {
        const program = join(programs, `p${Math.floor(i / FOR_EACH_PROGRAM)}`);
        if (i % FOR_EACH_PROGRAM === 0) copyFileSync("/bin/true", program);
        Bun.spawnSync([program, ...args.slice(1)], {
          argv0: args[0] ?? "",
          stdio: ["ignore", "ignore", "ignore"],
        });
      }
      const last = join(programs, "last");
      copyFileSync("/bin/true", last);
      Bun.spawnSync(["sh", "-c", `false && mysql -p${ancestorSecret}; ${last}; true`]);

      const isVerdict = (record: Readonly<Record<string, unknown>>): boolean =>
        record["event.name"] === "policy.verdict" && record["security_rule.name"] === "any";
      const count = commandLines.length + 1;
      await until("all are judged", () => running.records.filter(isVerdict).length === count, 30_000);
      const uids = running.records.filter(isVerdict).map((record) => String(record["log.record.uid"]));
      await until(
        "all are exported",
        () => uids.every((uid) => bodies.some((body) => body.includes(uid))),
        30_000,
      );
      const state = ["--state-dir", join(running.folder, "state")];
      const journal = Bun.spawnSync([binary, "events", "--rule", "any", "--output", "json", ...state]);
      const outputs = {
        "standard output": JSON.stringify(running.records),
        journal: journal.stdout.toString(),
        OTLP: bodies.join("\n"),
        "standard error": running.stderr,
      };
      const secrets = [...new Set([...withSecrets.flatMap((each) => each.secrets), ancestorSecret])];
      const leaks = Object.entries(outputs).flatMap(([name, text]) =>
        secrets.filter((secret) => text.includes(secret)).map((secret) => `${name}: ${secret}`),
      );
      expect(leaks).toEqual([]);
      expect(uids.filter((uid) => !outputs.journal.includes(uid))).toEqual([]);
      const shown = new Set(running.records.map((record) => JSON.stringify(record["process.command_args"])));
      expect(
        harmless.map(({ args }) => JSON.stringify(args.map(unambiguous))).filter((args) => !shown.has(args)),
      ).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
