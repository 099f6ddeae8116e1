// What everybody on the host may read of a run's processes (/proc/PID/cmdline), and what root may (/proc/PID/environ).
import { expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { family } from "../bench/usage.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const secrets = ["endpoint-secret", "header-secret", "variable-secret", "root@example.com", "CUST-[0-9]"];

/** The command line and the environment of each of a run's processes, by role. */
function shown(running: Running): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pid of family(running.pid)) {
    const words = read(pid, "cmdline");
    const [program, role = ""] = words.split("\0");
    if (program === "treewarden") found.set(role, words + read(pid, "environ"));
  }
  return found;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    // It has ended.
    return "";
  }
}

test.skipIf(reason !== undefined)(
  "nothing of the configuration stands on a command line or in an environment, also after restarts",
  async () => {
    const folder = newFolder();
    const sent = new Set<string | null>();
    using collector = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        sent.add(request.headers.get("x-key"));
        return new Response();
      },
    });
    const config = join(folder, "config.yaml");
    writeFileSync(
      config,
      [
        "otlp:",
        `  endpoint: http://me:endpoint-secret@127.0.0.1:${collector.port}`,
        "  headers: { x-key: header-secret }",
        "mail: { to: [root@example.com] }",
        "arguments: { redact: ['CUST-[0-9]+'] }",
        "",
      ].join("\n"),
    );
    try {
      const variables = { OTEL_EXPORTER_OTLP_LOGS_HEADERS: "x-key=variable-secret" };
      await using running = await Running.start(["--config", config], variables);
      const all = ["examiner", "reporter", "standby", "supervisor", "warden"];
      const complete = () => all.every((role) => shown(running).has(role));
      await until("all are there", complete);
      for (const pid of family(running.pid)) if (pid !== running.pid) process.kill(pid, "SIGKILL");
      await until("all are there again", complete);
      for (const text of shown(running).values())
        for (const secret of secrets) expect(text).not.toContain(secret);
      // The reporter that was started anew has them all the same.
      sent.clear();
      await until("it exports", () => sent.has("variable-secret"));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  30_000,
);
