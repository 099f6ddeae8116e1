// `doctor` and `run` side by side: what `run` refuses, `doctor` has found before.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, type JsonRecord, newFolder, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs treewarden with `config`, started by the command `inside` if there is one. */
function ask(command: string, config: string, inside: readonly string[] = []): Answer {
  const file = join(folder, "config.yaml");
  writeFileSync(file, config);
  const flags = command === "run" ? ["--listen", "off"] : ["--output", "json"];
  const run = Bun.spawnSync([...inside, binary, command, "--config", file, ...flags], { timeout: 10_000 });
  return { code: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
}

/** The check `name` of doctor's answer. */
function checkOf({ stdout }: Answer, name: string): JsonRecord | undefined {
  const records: JsonRecord[] = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return records.find((record) => record["check.name"] === name);
}

/** What `run` refuses with exit code 2, `doctor` finds wrong with the same code and in the same words. */
function expectSameRefusal(config: string, name: string, why: string, inside?: readonly string[]): void {
  const run = ask("run", config, inside);
  expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining(`treewarden: ${why}`) });
  const doctor = ask("doctor", config, inside);
  expect(checkOf(doctor, name)).toMatchObject({ "check.status": "wrong", "check.detail": why });
  expect(doctor.code).toBe(2);
}

describe.skipIf(reason !== undefined)("doctor finds what run refuses:", () => {
  test("a user for the reporter that does not exist", () => {
    const config = `reporter_user: no-such-user\nstate_directory: ${folder}/state\n`;
    expectSameRefusal(config, "reporter's user", "no user no-such-user for the reporter");
  });

  test("nobody as the reporter's user, which other programs have, too", () => {
    const config = `reporter_user: nobody\nstate_directory: ${folder}/state\n`;
    const why = "the reporter must not run as nobody: other programs that do could stop and replace it";
    expectSameRefusal(config, "reporter's user", why);
  });

  test("a state directory that others can write to", () => {
    const state = join(folder, "shared-state");
    mkdirSync(state);
    chmodSync(state, 0o777);
    const why = `${state} can be written by others: chmod go-w ${state}`;
    expectSameRefusal(`state_directory: ${state}\n`, "state directory", why);
  });
});

test.skipIf(reason !== undefined)("doctor says which user the reporter gets", () => {
  const withPasswd = (lines: string): unknown => {
    const passwd = join(folder, "passwd");
    writeFileSync(passwd, `root:x:0:0:root:/root:/bin/sh\n${lines}`);
    const script = 'mount --bind "$0" /etc/passwd && exec "$@"';
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, passwd];
    return checkOf(ask("doctor", "source: auto\n", inside), "reporter's user");
  };
  expect(withPasswd("treewarden:x:997:996::/:/usr/sbin/nologin\n")).toMatchObject({
    "check.status": "ok",
    "check.detail": "uid 997, gid 996",
  });
  const chosen = {
    "check.status": "ok",
    "check.detail": "a number that nobody has, chosen at the first start",
  };
  // The root of a container may have no users at all.
  const script = 'mount -t tmpfs none /etc && exec "$@"';
  const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
  expect(checkOf(ask("doctor", "source: auto\n", inside), "reporter's user")).toMatchObject(chosen);
  expect(withPasswd("")).toMatchObject(chosen);
});

test.skipIf(reason !== undefined)(
  "doctor says whether the network can be watched, and why not",
  () => {
    expect(checkOf(ask("doctor", "source: auto\n"), "network")).toMatchObject({ "check.status": "ok" });
    expect(checkOf(ask("doctor", "network: { watch: off }\n"), "network")).toMatchObject({
      "check.detail": "not watched: network.watch is off",
    });
    expect(checkOf(ask("doctor", "source: netlink\n"), "network")).toMatchObject({
      "check.status": "missing",
    });
    // As in a container: no control groups are mounted.
    const script = 'umount --lazy --recursive /sys/fs/cgroup && exec "$@"';
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    expect(checkOf(ask("doctor", "source: auto\n", inside), "network")).toMatchObject({
      "check.status": "missing",
      "check.detail": "the unified hierarchy of control groups is not mounted",
    });
  },
  30_000,
);

test.skipIf(reason !== undefined)(
  "doctor says whether the kernel can end programs before their first instruction, and why not",
  () => {
    const prevention = (config: string, inside?: readonly string[]) =>
      checkOf(ask("doctor", config, inside), "prevention");
    expect(prevention("enforcement: prevent\narmed: []\n")).toMatchObject({
      "check.status": "ok",
      "check.detail": expect.stringContaining("dies before its first instruction"),
    });
    expect(prevention("source: auto\n")).toMatchObject({
      "check.status": "ok",
      "check.detail": "not asked for; this host can do it (enforcement: prevent)",
    });
    expect(prevention("source: netlink\nenforcement: prevent\narmed: []\n")).toMatchObject({
      "check.status": "missing",
      "check.detail": "the proc connector cannot prevent: programs are killed once they have begun",
      "check.fix": "source: auto or ebpf",
    });
    // As in a container, whose root is an overlay.
    const script =
      'mount -t tmpfs tmpfs /mnt && mkdir /mnt/up /mnt/work && mount -t overlay -o lowerdir=/usr/bin,upperdir=/mnt/up,workdir=/mnt/work overlay /usr/bin && exec "$@"';
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    expect(prevention("enforcement: prevent\narmed: []\n", inside)).toMatchObject({
      "check.status": "missing",
      "check.detail": expect.stringContaining("the file system of /usr/bin keeps no identities of files"),
    });
  },
  30_000,
);

test.skipIf(reason !== undefined)("doctor says whether there is the rescue user", () => {
  const rescue = (user: string) => checkOf(ask("doctor", `rescue_user: ${user}\n`), "rescue user");
  expect(rescue("root")).toMatchObject({
    "check.status": "ok",
    "check.detail": "uid 0: nothing is killed in its sessions",
  });
  expect(rescue("no-such-user")).toMatchObject({
    "check.status": "missing",
    "check.detail": "there is no rescue user no-such-user: its sessions are not spared",
  });
});
