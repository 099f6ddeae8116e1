// One command has one habit, whichever shell starts it, wherever it stands in the shell's code, and however it is seen.

import { describe, expect, test } from "bun:test";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import { decodeRunnable, encodeRunnable } from "../../src/fingerprint/saved-runnable.ts";
import { programNames } from "../../src/fingerprint/title.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { Forest } from "../../src/forest/forest.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { restoreForest, saveForest } from "../../src/forest/saved-forest.ts";
import { type ProcessFacts, type ScannedProcess, unknownFacts } from "../../src/sensor/event.ts";

interface Program {
  readonly exe: string;
  readonly args?: readonly string[];
  /** The path given to execve(2), where it is another one. */
  readonly filename?: string;
  /** What it then writes over its command line. */
  readonly title?: string;
  /** `here`: executed in place of the one before. `copy`: a fork of it that executes nothing, such as a subshell. */
  readonly how?: "here" | "copy";
}

const CONTAINER = `/system.slice/docker-${"0123456789abcdef".repeat(4)}.scope`;

function factsOf({ exe, args = [exe], filename }: Program, pid: number, cgroup: string): ProcessFacts {
  return {
    ...unknownFacts,
    ...{ executable: exe, executableMemfd: false, filename, args, argsTruncated: false, cwd: "/" },
    ...{ uid: 0, realUid: 0, startTicks: pid, cgroup },
  };
}

function newForest(): Forest {
  return new Forest({
    ...programNames(createIdentifier()),
    missedExit: () => undefined,
  });
}

/** A host that has run these programs, each below the one before, as it is now: one process a pid. */
interface Ran {
  readonly forest: Forest;
  readonly leaf: number;
  readonly processes: readonly ScannedProcess[];
}

const systemd: ScannedProcess = {
  pid: 1,
  kernelThread: false,
  facts: { ...factsOf({ exe: "/usr/lib/systemd/systemd" }, 1, "/init.scope"), parentPid: 0 },
};

function run(programs: readonly Program[], cgroup: string): Ran {
  const forest = newForest();
  forest.reconcile([systemd], 0);
  const now = new Map<number, ScannedProcess>([[1, systemd]]);
  let pid = 1;
  let time = 1e9;
  for (const program of programs) {
    time += 1e6;
    if (program.how !== "here") {
      const parentPid = pid;
      pid += 1;
      const start = { startTicks: pid, startExact: true };
      forest.fork({ kind: "fork", source: "ebpf", time, pid, parentPid, ...start });
      const parent = now.get(parentPid);
      if (parent === undefined) throw new Error("no parent");
      now.set(pid, { pid, kernelThread: false, facts: { ...parent.facts, startTicks: pid, parentPid } });
    }
    if (program.how === "copy") continue;
    const { parentPid } = now.get(pid)?.facts ?? {};
    const facts = { ...factsOf(program, pid, cgroup), parentPid };
    forest.exec({ kind: "exec", source: "ebpf", time: time + 1, pid, facts });
    const { title } = program;
    const shown = title === undefined ? facts : { ...facts, args: [title, "", ""] };
    now.set(pid, { pid, kernelThread: false, facts: shown });
  }
  return { forest, leaf: pid, processes: [...now.values()] };
}

function lineageIn(forest: Forest, pid: number): Lineage {
  const process = forest.get(pid);
  if (process === undefined) throw new Error(`no process ${pid}`);
  return process.lineage;
}

/** The same processes as each way of seeing them has their leaf's lineage. */
const ways: Readonly<Record<string, (ran: Ran) => Lineage>> = {
  "seen by events": ({ forest, leaf }) => lineageIn(forest, leaf),
  "found by a scan": ({ processes, leaf }) => {
    const forest = newForest();
    forest.reconcile(processes, 10e9);
    return lineageIn(forest, leaf);
  },
  "after a restart": ({ forest: before, processes, leaf }) => {
    const saved = JSON.parse(JSON.stringify(saveForest(before, "boot", encodeRunnable)));
    const forest = newForest();
    const restored = restoreForest(forest, saved, "boot", decodeRunnable);
    forest.reconcile(processes, 10e9, restored.processes);
    restored.release();
    return lineageIn(forest, leaf);
  },
};

const shells: Readonly<Record<string, Omit<Program, "args">>> = {
  dash: { exe: "/usr/bin/dash" },
  bash: { exe: "/usr/bin/bash" },
  busybox: { exe: "/bin/busybox", filename: "/bin/sh" },
  zsh: { exe: "/usr/bin/zsh" },
};
const job: Program = { exe: "/usr/local/bin/job" };

/** What becomes of the job, by how the code names it. `sh`: the shell with this code. */
const forms: Readonly<Record<string, (sh: (code: string) => Program) => readonly (readonly Program[])[]>> = {
  // Dash forks the last command of its code, bash and busybox execute it in place. Both are right for any of them.
  "a single command": (sh) => [
    [sh("job"), job],
    [sh("job"), { ...job, how: "here" }],
  ],
  "other; job": (sh) => [
    [sh("other; job"), job],
    [sh("other; job"), { ...job, how: "here" }],
  ],
  "job; other": (sh) => [[sh("job; other"), job]],
  "other && job": (sh) => [
    [sh("other && job"), job],
    [sh("other && job"), { ...job, how: "here" }],
  ],
  "job && other": (sh) => [[sh("job && other"), job]],
  "job > file": (sh) => [
    [sh("job > file"), job],
    [sh("job > file"), { ...job, how: "here" }],
  ],
  "exec job": (sh) => [[sh("exec job"), { ...job, how: "here" }]],
  "job | other": (sh) => [[sh("job | other"), { ...sh(""), how: "copy" }, { ...job, how: "here" }]],
  "(job; other)": (sh) => [[sh("(job; other)"), { ...sh(""), how: "copy" }, job]],
  "trap other EXIT; job": (sh) => [[sh("trap other EXIT; job"), job]],
  "sh -c inside": (sh) => [
    [sh("sh -c job"), { exe: "/usr/bin/dash", args: ["sh", "-c", "job"] }, job],
    [sh("exec sh -c job"), { exe: "/usr/bin/dash", args: ["sh", "-c", "job"], how: "here" }, job],
  ],
};

interface Starter {
  readonly programs: readonly Program[];
  readonly cgroup: string;
  readonly habit: string;
}

const starters: Readonly<Record<string, Starter>> = {
  cron: {
    programs: [{ exe: "/usr/sbin/cron" }],
    cgroup: "/system.slice/cron.service",
    habit: "/cron/job",
  },
  "ssh host": {
    programs: [{ exe: "/usr/sbin/sshd" }, { exe: "/usr/sbin/sshd" }],
    cgroup: "/user.slice/user-0.slice/session-3.scope",
    habit: "/sshd/job",
  },
  "su -c": {
    programs: [{ exe: "/usr/sbin/cron" }, { exe: "/usr/bin/su", args: ["su", "-c", "x", "www-data"] }],
    cgroup: "/system.slice/cron.service",
    habit: "/cron/su/job",
  },
  "sudo sh -c": {
    programs: [{ exe: "/usr/sbin/cron" }, { exe: "/usr/bin/sudo", args: ["sudo", "sh", "-c", "x"] }],
    cgroup: "/system.slice/cron.service",
    habit: "/cron/sudo/job",
  },
  make: {
    programs: [{ exe: "/usr/bin/make" }],
    cgroup: "/system.slice/build.service",
    habit: "/make/job",
  },
  "npm run": {
    programs: [{ exe: "/usr/bin/node", args: ["node", "/usr/bin/npm", "run", "job"], title: "npm run job" }],
    cgroup: "/system.slice/build.service",
    habit: "/npm/job",
  },
  "ExecStart=sh -c": { programs: [], cgroup: "/system.slice/job.service", habit: "/job" },
  "a container's entrypoint": { programs: [], cgroup: CONTAINER, habit: "/container/job" },
};

for (const [startedBy, { programs, cgroup, habit }] of Object.entries(starters)) {
  describe(startedBy, () => {
    for (const [shell, started] of Object.entries(shells)) {
      for (const [form, chains] of Object.entries(forms)) {
        test(`${shell} -c '${form}' has one habit, however it is seen`, () => {
          for (const chain of chains((code) => ({ ...started, args: ["sh", "-c", code] }))) {
            const ran = run([...programs, ...chain], cgroup);
            for (const [way, lineageOf] of Object.entries(ways))
              expect([way, treeOf(lineageOf(ran)).habit]).toEqual([way, habit]);
          }
        });
      }
    }

    test("without a shell it is the same habit", () => {
      expect(treeOf(ways["seen by events"]?.(run([...programs, job], cgroup)) ?? fail()).habit).toBe(habit);
    });
  });
}

function fail(): never {
  throw new Error("no such way");
}

function treeBelowCron(...programs: readonly Program[]) {
  const { forest, leaf } = run([{ exe: "/usr/sbin/cron" }, ...programs], "/system.slice/cron.service");
  return treeOf(lineageIn(forest, leaf));
}

describe("the habit keeps", () => {
  const habitOf = (shell: Program) => treeBelowCron(shell, job).habit;
  const bash = (...args: readonly string[]): Program => ({ exe: "/usr/bin/bash", args: ["bash", ...args] });

  test("a shell that reads its code from standard input", () => {
    expect(habitOf(bash("-s"))).toBe("/cron/bash/job");
    expect(habitOf(bash())).toBe("/cron/bash/job");
  });

  test("an interactive shell, also one with -c", () => {
    expect(habitOf(bash("-i"))).toBe("/cron/bash/job");
    expect(habitOf(bash("-ic", "job; other"))).toBe("/cron/bash/job");
  });

  test("a script, by its name", () => {
    expect(habitOf(bash("/usr/local/sbin/nightly.sh"))).toBe("/cron/nightly.sh/job");
  });

  test("an interpreter that is no shell", () => {
    const python = { exe: "/usr/bin/python3.11", args: ["python3", "-c", "import os"] };
    expect(habitOf(python)).toBe("/cron/python3/job");
  });

  test("a wrapper that starts a shell", () => {
    const timeout = { exe: "/usr/bin/timeout", args: ["timeout", "5", "sh", "-c", "job; other"] };
    expect(habitOf(timeout)).toBe("/cron/timeout/job");
  });

  test("a file of a shell's name outside the system's directories: anybody can name a file so", () => {
    expect(habitOf({ exe: "/home/u/bash", args: ["bash", "-c", "job; other"] })).toBe("/cron/bash/job");
  });

  test("the leaf, even if it is a shell given -c", () => {
    expect(treeBelowCron(bash("-c", "x")).habit).toBe("/cron/bash");
    expect(treeBelowCron(bash("-c", "x"), { exe: "/usr/bin/dash", args: ["sh", "-c", "y"] }).habit).toBe(
      "/cron/dash",
    );
  });
});

test("a program that runs itself by sh -c is one name, as without the shell", () => {
  const php = { exe: "/usr/bin/php8.2" };
  const { habit, exact } = treeBelowCron(php, { exe: "/usr/bin/dash", args: ["sh", "-c", "php; x"] }, php);
  expect([habit, exact]).toEqual(["/cron/php", "/cron/php/dash/php"]);
});

test("trees still show the shells, and the article's example comes out", () => {
  const { exact, path, labels } = treeBelowCron(
    { exe: "/usr/bin/dash", args: ["sh", "-c", "job; other"] },
    job,
  );
  expect([exact, path, labels]).toEqual(["/cron/dash/job", "/cron/base/job", ["cron", "base", "job"]]);
  const { forest, leaf } = run(
    [
      { exe: "/usr/sbin/crond" },
      { exe: "/usr/bin/bash", args: ["sh", "-c", "python3 /tmp/ZW50cm9weQo/top.py"] },
      { exe: "/usr/bin/python3.11", args: ["python3", "/tmp/ZW50cm9weQo/top.py"], how: "here" },
    ],
    "/system.slice/crond.service",
  );
  const tree = treeOf(lineageIn(forest, leaf));
  expect([tree.path, tree.exact, tree.habit]).toEqual([
    "/random/crond/top.py",
    "/crond/top.py",
    "/crond/top.py",
  ]);
});

test("the habit is bounded like the tree", () => {
  const names = Array.from(
    { length: 60 },
    (_, i) => `/usr/local/bin/step-${"abcdefghij".charAt(i % 10)}${i}x`,
  );
  const chain = names.flatMap((exe): Program[] => [
    { exe: "/usr/bin/dash", args: ["sh", "-c", "x; y"] },
    { exe },
  ]);
  const tree = treeBelowCron(...chain);
  expect(tree.habit.split("/").length - 1).toBeLessThanOrEqual(32);
  expect(tree.habit).toContain("/.../");
  expect(tree.habit).not.toContain("dash");
  expect(Buffer.byteLength(tree.habit)).toBeLessThanOrEqual(1024);
});
