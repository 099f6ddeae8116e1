// Evidence on the real kernel: a process that a rule kills is frozen at once, what it has is recorded, and it dies. Only
// programs of a user that nobody else has are ever killed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_105;

describe.skipIf(reason !== undefined)("before a process is killed", () => {
  const folder = newFolder();
  const program = join(folder, "tw-victim");
  const open = join(folder, "open");
  const marker = join(open, "marker");
  let treewarden: Running;
  let server: Bun.TCPSocketListener<undefined>;

  beforeAll(async () => {
    copyFileSync("/bin/bash", program);
    mkdirSync(open);
    chmodSync(open, 0o777);
    const rule = {
      id: "victims",
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, MALLORY] },
          { starts_with: [{ var: "process.executable.name" }, "tw-victim"] },
        ],
      },
      action: "kill",
    };
    writeFileSync(
      join(folder, "policy.json"),
      JSON.stringify({ role: "proof", rules: [rule], default: "allow" }),
    );
    const config = join(folder, "config.yaml");
    writeFileSync(
      config,
      "armed: all\narmed_since_hours: 0\nevidence: { enabled: true, timeout_seconds: 5, copy_up_to_megabytes: 8 }\n",
    );
    const flags = ["--config", config, "--policy", join(folder, "policy.json"), "--enforcement", "kill"];
    treewarden = await Running.start(flags, {}, folder);
    // What is killed before such a file is there has no copy. They are made one after another: of two, one is open.
    const copies = join(folder, "state/evidence");
    const isPrepared = () =>
      existsSync(copies) && readdirSync(copies).filter((name) => name.startsWith("new-")).length > 1;
    await until("files wait for copies", isPrepared);
    server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  });
  afterAll(async () => {
    server.stop(true);
    await treewarden[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (script: string) => {
    const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
    return Bun.spawn([...user, "bash", "-c", script], {
      env: { PATH: "/usr/bin:/bin", TW_TOKEN: "hunter2xQz" },
      stdio: ["ignore", "ignore", "ignore"],
    });
  };

  test("what it ran, had open and was connected to is recorded, and no value of its environment", async () => {
    const child = start(
      `exec 7>${marker} 8<>/dev/tcp/127.0.0.1/${server.port}; exec ${program} -c "while :; do :; done"`,
    );
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    const isOf = (record: Readonly<Record<string, unknown>>): boolean => record["process.pid"] === child.pid;
    const evidence = await treewarden.seen((each) => isOf(each) && each["event.name"] === "process.evidence");
    expect(evidence["evidence.complete"]).toBe(true);
    expect(evidence["stop.rule"]).toBe("proof/victims");
    const digest = createHash("sha256").update(readFileSync(program)).digest("hex");
    expect(evidence["evidence.executable.digest"]).toBe(`sha256:${digest}`);
    expect(evidence["evidence.open_files"]).toContain(marker);
    expect(evidence["evidence.environment_names"]).toContain("TW_TOKEN");
    expect(String(evidence["evidence.sockets"])).toContain(`to 127.0.0.1:${server.port} ESTABLISHED`);
    expect(String(evidence["evidence.maps"])).toContain(`x ${program}`);
    expect(JSON.stringify(treewarden.records)).not.toContain("hunter2xQz");
    const copy = join(folder, "state/evidence", `sha256-${digest}`);
    expect(evidence["evidence.executable.copy"]).toBe(copy);
    await until("it is there", () => existsSync(copy));
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(readFileSync(copy).equals(readFileSync(program))).toBe(true);
    const verdict = await treewarden.seen((each) => isOf(each) && each["event.name"] === "policy.verdict");
    expect(verdict["policy.outcome"]).toBe("killed");
    const shown = Bun.spawnSync([
      treewarden.binary,
      "show",
      String(verdict["log.record.uid"]),
      "--state-dir",
      join(folder, "state"),
    ]);
    expect(shown.stdout.toString()).toContain(`sha256:${digest}`);
  }, 30_000);

  test("a program whose file was deleted is copied all the same", async () => {
    // Another tree: of an offender that is killed again within a minute there is no evidence.
    const deleted = join(open, "tw-victim-deleted");
    const bytes = Buffer.concat([readFileSync(program), Buffer.from("deleted")]);
    writeFileSync(deleted, bytes, { mode: 0o755 });
    const child = start(`exec 7<${deleted}; rm -f ${deleted}; exec /proc/self/fd/7 -c "while :; do :; done"`);
    await child.exited;
    const evidence = await treewarden.seen(
      (each) => each["process.pid"] === child.pid && each["event.name"] === "process.evidence",
    );
    const copy = String(evidence["evidence.executable.copy"]);
    await until("the copy is there", () => existsSync(copy));
    expect(readFileSync(copy).equals(bytes)).toBe(true);
  }, 30_000);

  test("it stands still: nothing that it does after the verdict is done, though its user continues it", async () => {
    const count = join(open, "count");
    writeFileSync(count, "");
    chmodSync(count, 0o666);
    // Another tree: of an offender that is killed again within a minute there is no evidence.
    const other = `${program}-too`;
    copyFileSync(program, other);
    const child = start(`exec ${other} -c 'while :; do echo x >> ${count}; done'`);
    const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
    const continuing = Bun.spawn([...user, "bash", "-c", `while kill -CONT ${child.pid}; do :; done`], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    await child.exited;
    await continuing.exited;
    expect(child.signalCode).toBe("SIGKILL");
    await until("it is recorded", () =>
      treewarden.records.some(
        (each) => each["event.name"] === "process.evidence" && each["process.pid"] === child.pid,
      ),
    );
    expect((await treewarden.metrics()).value("treewarden_stopped_trees")).toBe(0);
  }, 30_000);
});
