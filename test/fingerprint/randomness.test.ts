import { describe, expect, test } from "bun:test";
import { alphabets, dice, draw } from "../../build/randomness-names.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { RANDOM_FROM, scoreName } from "../../src/fingerprint/randomness.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";

function facts(executable: string, args?: readonly string[]): RunnableFacts {
  return { executable, executableMemfd: false, filename: undefined, script: undefined, args, cwd: "/" };
}

function isRandom(path: string): boolean {
  return identify(facts(path)).random;
}

describe("a name that only looks odd is not random", () => {
  const odd = [
    "/usr/lib/R/bin/exec/R",
    "/usr/bin/[",
    "/usr/bin/xz",
    "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
    "/usr/bin/python3.11",
    "/usr/bin/x86_64-linux-gnu-gcc-12",
    "/usr/lib/jvm/java-17-openjdk-amd64/bin/java",
    "/usr/lib/postgresql/15/bin/postgres",
    "/usr/lib/modules/6.1.0-18-amd64/build/scripts/mod/modpost",
    "/nix/store/9s5fqn2y3gqpxsxc2dphyr3xqplkxp5m-bash-5.2p26/bin/bash",
    "/gnu/store/kkjg5b6hj8c3gmy4cs8pzb6a3ynmcz6b-coreutils-9.1/bin/ls",
    "/snap/core20/2105/usr/bin/snapctl",
    "/var/lib/docker/overlay2/8b2a5f3e7c1d4b6a9e0f8b2a5f3e7c1d4b6a9e0f8b2a5f3e7c1d4b6a9e0f1234/merged/usr/bin/ls",
    "/usr/sbin/xtables-nft-multi",
    "/usr/lib/systemd/systemd-hostnamed",
    "/usr/libexec/gvfsd-fuse",
    "/usr/bin/sha512sum",
    "/usr/lib/git-core/git-remote-https",
    "/home/user/.nvm/versions/node/v20.11.1/bin/node",
    "/opt/google/chrome/chrome_crashpad_handler",
    "/var/lib/dpkg/info/openssh-server.postinst",
    "/tmp/go-build1234567890/b001/exe/main",
    "/root/.ansible/tmp/ansible-tmp-1700000000.12-345-67890123456789/AnsiballZ_setup.py",
  ];
  test.each(odd)("%s", (path) => {
    expect(isRandom(path)).toBe(false);
  });
});

describe("a name that was drawn at random is random", () => {
  const drawn = [
    "/tmp/ZW50cm9weQo/top.py",
    "/tmp/tmp.Xq3ZfA",
    "/tmp/tmp.a8Kd02LmQz/run",
    "/tmp/x.AbC123",
    "/var/tmp/.ICE-q8Zk3v",
    "/tmp/tmpk3j_x2a9/x",
    "/usr/bin/a3f9c1b2d4e5f6a7",
    "/home/user/.cache/prom_cnproc-0883569a23a4bd16",
    "/dev/shm/550e8400-e29b-41d4-a716-446655440000",
    "/opt/KRSXG5CTMVRXEZLU",
    "/etc/cron.d/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "/run/x/f3c9d1e0a2b4",
    "memfd:q8Zk3vXw",
  ];
  test.each(drawn)("%s", (path) => {
    expect(isRandom(path)).toBe(true);
  });

  test("by its executable as well as by its script", () => {
    expect(identify(facts("/opt/a3f9c1b2d4e5f6a7/python3", ["python3", "/opt/app.py"])).random).toBe(true);
  });
});

test("a score lies between 0 and 1 and is the same every time", () => {
  for (const name of ["", "a", "nginx", "ZW50cm9weQo", "é".repeat(300), "\udcff\udcfe"]) {
    const score = scoreName(name);
    expect(score).toBeGreaterThanOrEqual(0);
    expect(score).toBeLessThanOrEqual(1);
    expect(scoreName(name)).toBe(score);
  }
});

/** Share of names that are called random, a thousand of each kind and length. */
function recall(alphabet: string, length: number, within: string): number {
  const roll = dice(length * 7919);
  let found = 0;
  for (let at = 0; at < 1000; at++)
    if (scoreName(draw(alphabet, length, roll), within) >= RANDOM_FROM) found += 1;
  return found / 1000;
}

test.each(["hex", "base32", "base32, lower case", "base62", "base64url"] as const)(
  "of random names in %s, 8 to 40 characters long, at least 98 % are found at every length",
  (kind) => {
    for (const length of [8, 9, 10, 12, 16, 24, 32, 40]) {
      expect(recall(alphabets[kind], length, "/opt")).toBeGreaterThanOrEqual(0.98);
    }
  },
);

test("of mktemp's names of six characters, where they live, at least 95 % are found", () => {
  expect(recall(alphabets.base62, 6, "/tmp")).toBeGreaterThanOrEqual(0.95);
});

test("of Python's temporary names at least 98 % are found, wherever they lie", () => {
  const roll = dice(31);
  let found = 0;
  for (let at = 0; at < 1000; at++)
    if (scoreName(`tmp${draw(alphabets["tempfile of Python"], 8, roll)}`, "/opt") >= RANDOM_FROM) found += 1;
  expect(found / 1000).toBeGreaterThanOrEqual(0.98);
});

describe("an ordinary word is not random, not even in a random directory", () => {
  const words =
    "article payload something worker invoice upload backup deploy customer cleanup thumbnail newsletter";
  test.each(words.split(" "))("%s", (word) => {
    for (const within of ["/tmp/tmp.ilFjIT4Nhk", "/tmp/tmp.x", "/opt/a3f9c1b2d4e5f6a7", "/dev/shm/q8Zk3vXw"])
      expect(identify(facts(`${within}/${word}`)).name).toBe(word);
  });

  test("nor are two words in one, a word with a number, or one after tmp", () => {
    for (const name of ["logreader", "uploadworker", "payload2x", "tmp_cleanup", "BackupRunner"])
      expect(identify(facts(`/tmp/tmp.ilFjIT4Nhk/${name}`)).name).toBe(name);
  });
});

test("of executables held out of the training at least 99.5 % are not called random", async () => {
  const lines = (await Bun.file(new URL("../bench/randomness-heldout.tsv", import.meta.url)).text()).split(
    "\n",
  );
  const names = lines.flatMap((line) => (line.startsWith("executable\t") ? [line.slice(11)] : []));
  const called = names.filter((name) => scoreName(name, "/usr/bin") >= RANDOM_FROM);
  expect(names.length).toBeGreaterThan(300);
  expect(called.length / names.length).toBeLessThanOrEqual(0.005);
});

test("of names held out of the training at least 99.5 % are not called random", async () => {
  const lines = (await Bun.file(new URL("../bench/randomness-heldout.tsv", import.meta.url)).text())
    .trim()
    .split("\n");
  const called = lines.filter((line) => scoreName(line.split("\t")[1] ?? "", "/usr/share") >= RANDOM_FROM);
  expect(lines.length).toBeGreaterThan(5000);
  expect(called.length / lines.length).toBeLessThanOrEqual(0.005);
});
