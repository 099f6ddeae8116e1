// One command has one habit, with the real shells and whatever really starts them: seen by events, after a restart of
// treewarden's, and found by a scan of /proc.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { compile } from "./live.ts";
import { serverFolder } from "./server-fixture.ts";
import { missingServer } from "./server-packages.ts";
import { MANAGER, missingUnits, ServiceManager } from "./service-manager.ts";
import { SmallSshd } from "./small-sshd.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingUnits() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const SHELLS = ["dash", "bash", "busybox", "zsh"] as const;
/** Where the job stands in the shell's code. */
const FORMS: Readonly<Record<string, (job: string) => string>> = {
  "a single command": (job) => job,
  "a; job": (job) => `true; ${job}`,
  "a && job": (job) => `true && ${job}`,
  "job; a": (job) => `${job}; true`,
  "exec job": (job) => `exec ${job}`,
  "job | a": (job) => `${job} | cat`,
  "(job; a)": (job) => `(${job}; true)`,
  "trap a; job": (job) => `trap true EXIT; ${job}`,
  "job > file": (job) => `${job} > /dev/null`,
};
/** What every way of starting is tried with: in place or not, depending on the shell. */
const SHORT_FORMS = ["a single command", "a; job", "job; a"];

interface Start {
  readonly unit: string;
  readonly command: readonly string[];
}

interface Way {
  readonly start: (shell: string, code: string) => Start;
  /** Of whatever starts the job; empty if that is pid 1. */
  readonly habit: string;
  readonly forms?: readonly string[];
}

const CONTAINER = `docker-${"0123456789abcdef".repeat(4)}.scope`;
const WAYS = ["seen by events", "after a restart", "found by a scan"] as const;

describe.skipIf(reason !== undefined)("one habit with the real shells", () => {
  const stateFolder = newFolder();
  const folder = serverFolder();
  let manager: ServiceManager;
  let sshd: SmallSshd;
  /** Habits by job, in the order of WAYS. */
  const habits = new Map<string, string[]>();

  const shellPath = (shell: string): string => {
    const path = shell === "busybox" ? join(folder, "ash") : (Bun.which(shell) ?? "");
    if (!existsSync(path)) throw new Error(`no ${shell}`);
    return path;
  };

  const ways: Readonly<Record<string, Way>> = {
    "a unit": {
      start: (shell, code) => ({ unit: "job.service", command: [shell, "-c", code] }),
      habit: "",
      forms: Object.keys(FORMS),
    },
    "a container's entrypoint": {
      start: (shell, code) => ({ unit: CONTAINER, command: [shell, "-c", code] }),
      habit: "/container",
    },
    "su -c": {
      start: (shell, code) => ({ unit: "su.service", command: ["su", "-s", shell, "-c", code, "root"] }),
      habit: "/su",
    },
    "sudo sh -c": {
      start: (shell, code) => ({ unit: "sudo.service", command: ["sudo", shell, "-c", code] }),
      habit: "/sudo",
    },
    "ssh host": {
      start: (shell, code) => ({ unit: "client.service", command: sshd.client(`${shell} -c '${code}'`) }),
      habit: "/sshd",
    },
    make: {
      start: (shell, code) => {
        const file = join(folder, `make-${habits.size}`);
        writeFileSync(file, `SHELL = ${shell}\nall:\n\t@${code}\n`);
        return { unit: "make.service", command: ["make", "-f", file] };
      },
      habit: "/make",
    },
    "npm run": {
      start: (shell, code) => {
        const place = join(folder, `npm-${habits.size}`);
        mkdirSync(place);
        writeFileSync(join(place, "package.json"), JSON.stringify({ name: "job", scripts: { job: code } }));
        const flags = ["--silent", "--no-update-notifier", "--script-shell", shell, "--prefix", place];
        return { unit: "npm.service", command: ["npm", ...flags, "run", "job"] };
      },
      // It writes a title over its command line, which is all that a scan finds.
      habit: "/npm",
    },
  };

  const expected = new Map<string, string>();

  beforeAll(async () => {
    mkdirSync(join(folder, "pids"));
    symlinkSync(Bun.which("busybox") ?? "", join(folder, "ash"));
    renameSync(compile(folder, "job"), join(folder, "site-job"));
    copyFileSync("/bin/true", join(folder, "site-step"));
    const policy = join(folder, "steps.json");
    // A rule that names arguments: verdicts with different ones are not folded.
    const isStep = { in: ["site-step", { var: "process.command_args" }] };
    writeFileSync(
      policy,
      JSON.stringify({ role: "steps", rules: [{ id: "step", when: isStep, action: "alert" }] }),
    );
    const flags = ["--policy", policy];
    manager = new ServiceManager(folder);
    sshd = await SmallSshd.start(folder, manager);
    let running = await Running.start(flags, {}, stateFolder);
    try {
      for (const [by, way] of Object.entries(ways))
        for (const shell of SHELLS)
          for (const form of way.forms ?? SHORT_FORMS) await startJob(by, way, shell, form);
      await until("every job runs", () => [...habits.keys()].every((id) => pidOf(id) !== undefined), 30_000);
      await step(running, 1);
      await running.stop();
      running = await Running.start(flags, {}, stateFolder);
      await step(running, 2);
      await running.stop();
      rmSync(join(stateFolder, "state/forest.json"));
      running = await Running.start(flags, {}, stateFolder);
      await step(running, 3);
    } finally {
      await running[Symbol.asyncDispose]();
    }
  }, 120_000);

  afterAll(async () => {
    for (const id of habits.keys()) {
      const pid = pidOf(id);
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    }
    await sshd[Symbol.asyncDispose]();
    await manager[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);

  async function startJob(by: string, way: Way, shell: string, form: string): Promise<void> {
    const id = `${habits.size}`;
    const { unit, command } = way.start(
      shellPath(shell),
      FORMS[form]?.(`${join(folder, "site-job")} ${id}`) ?? "",
    );
    habits.set(id, []);
    expected.set(id, `${way.habit}/site-job/site-step`);
    names.set(id, `${by}, ${shell} -c '${form}'`);
    await manager.spawn(unit, command);
  }

  function pidOf(id: string): number | undefined {
    const path = join(folder, "pids", id);
    return existsSync(path) ? Number(readFileSync(path, "latin1")) || undefined : undefined;
  }

  /** Has each job start a program, and notes the habit of each. */
  async function step(running: Running, count: number): Promise<void> {
    for (const id of habits.keys()) process.kill(pidOf(id) ?? 0, "SIGUSR1");
    for (const [id, found] of habits) {
      const verdict = await running.seen(
        ({ "event.name": name, "process.command_args": args }) =>
          name === "policy.verdict" && Array.isArray(args) && args[1] === id && args[2] === `${count}`,
      );
      // The manager stands for pid 1, which is in no tree, and a scan finds its services below pid 1.
      found.push(String(verdict["tree.habit"]).replace(`/${MANAGER}/`, "/"));
    }
  }

  const names = new Map<string, string>();

  for (const [index, seen] of WAYS.entries()) {
    test(`${seen}: each shell, each place in its code, each starter`, () => {
      expect(habits.size).toBe(4 * (Object.keys(FORMS).length + 6 * SHORT_FORMS.length));
      const other = [...habits]
        .filter(([id, found]) => found[index] !== expected.get(id))
        .map(([id, found]) => `${names.get(id)}: ${found[index]}`);
      expect(other).toEqual([]);
    });
  }
});
