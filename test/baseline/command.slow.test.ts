import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseBaseline, timeText } from "../../src/baseline/baseline-file.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { type LearningState, startLearning, stopLearning } from "../../src/baseline/learning-state.ts";
import { formatRoleBaselines } from "../../src/policy/role-baseline.ts";
import { digestOf } from "../../src/policy/signature.ts";
import { type LearnedRow, treeOfEntry } from "./learned-rows.ts";
import { entry, NOON, RUN } from "./samples.ts";
import {
  asRoot,
  COMMAND,
  NOBODY,
  origin,
  type Result,
  run,
  StateDirectory,
  sealed,
} from "./state-directory.ts";

// Each command is a process of its own, and several are needed for most of these.
setDefaultTimeout(30_000);

let directory: StateDirectory;
let state = "";
beforeEach(() => {
  directory = new StateDirectory();
  state = directory.path;
});
afterEach(() => directory[Symbol.dispose]());

/** Runs the command with the state directory of the test. */
const here = (args: readonly string[], stdin?: string): Result => directory.run(args, stdin);
const collected = (...entries: readonly BaselineEntry[]): void => directory.collected(...entries);
const collectedRows = (rows: readonly LearnedRow[]): void => directory.collectedRows(rows);
const learning = (of: LearningState): void => directory.learning(of);
const fileOf = (name: string, ...entries: readonly BaselineEntry[]): string =>
  directory.file(name, ...entries);
const inForce = (): readonly string[] => directory.inForce();

const nginx = {
  path: "/usr/sbin/nginx",
  package: "nginx",
  modified: true,
  digest: `sha256:${"5".repeat(64)}`,
};
const learned = stopLearning(startLearning(NOON, null, RUN), NOON + 3600);
const cron = entry("/cron/sh");
const ssh = entry("/sshd/bash", { users: [0, 1000], arguments: "bash -l" });

describe("accept", () => {
  test("by another user than root is refused, whether something was learned or not", () => {
    if (!asRoot) return expect(asRoot).toBe(false);
    const words = [
      "setpriv",
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      "--clear-groups",
      process.execPath,
      COMMAND,
    ];
    const run = Bun.spawnSync([...words, "baseline", "accept", "--state-dir", state], {
      env: { PATH: "/usr/bin:/bin" },
    });
    expect([run.exitCode, run.stdout.toString()]).toEqual([3, ""]);
    expect(run.stderr.toString()).toContain("only root accepts\n  hint: run it with sudo");
  });

  test("puts what was learned into a file that only root reads and writes", () => {
    collected(cron, ssh);
    learning(learned);
    expect(here(["accept", "--role", "web"])).toMatchObject({ code: 0, out: "" });
    expect(inForce()).toEqual(["/cron/sh", "/sshd/bash"]);
    expect(statSync(join(state, "baseline/in-force")).mode & 0o777).toBe(0o600);
  });

  test("names the whole time of the learning run, not that from its first tree to its last", () => {
    collected(cron);
    learning(learned);
    here(["accept"]);
    const [, time] = /^learned (.*)$/m.exec(here(["export"]).out) ?? [];
    expect(time).toBe("2026-01-31T12:00:00Z 2026-01-31T13:00:00Z");
  });

  test("keeps what is known of the executables, and every other command shows it", () => {
    collected(cron, entry("/nginx", { executables: [nginx] }));
    learning(learned);
    const text = `/usr/sbin/nginx,nginx!,${nginx.digest}`;
    expect(here(["compare", "--baseline", fileOf("web2", cron), "--output", "json"]).out).toContain(
      `"baseline.executables":["${text}"]`,
    );
    expect(here(["accept"]).code).toBe(0);
    const { out } = here(["export"]);
    expect(out).toContain(`\t${text}\t`);
    writeFileSync(join(state, "exported"), out);
    expect(run(["merge", join(state, "exported"), fileOf("web2", cron)]).out).toContain(`\t${text}\t`);
    expect(here(["diff", fileOf("web2", cron), join(state, "exported"), "--output", "pretty"]).out).toContain(
      `/usr/sbin/nginx, of nginx, MODIFIED, ${nginx.digest}`,
    );
    expect(here(["import", join(state, "exported")]).code).toBe(0);
    expect(readFileSync(join(state, "baseline/in-force"), "utf8")).toContain(text);
  });

  test("leaves to review what was seen only before or after the learning", () => {
    const after = entry("/nginx/sh", { first: NOON + 7200, last: NOON + 7200 });
    collected(cron, after, entry("/nginx/nc", { first: NOON - 60, last: NOON + 7200 }));
    learning(learned);
    expect(here(["accept"]).err).toContain("2 trees were seen only before or after the learning");
    expect(inForce()).toEqual(["/cron/sh"]);
  });

  test("refuses a learning that goes on, unless it is told to, and says what losses mean", () => {
    collected(cron);
    learning(startLearning(NOON, null, RUN));
    expect(here(["accept"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("the learning run has not ended"),
    });
    expect(here(["accept", "--anyway"]).code).toBe(0);
    learning({ ...learned, losses: 2, lostSeconds: 15, ended: learned.started + 60, uncertain: 7 });
    const { code, err } = here(["accept"]);
    expect(code).toBe(0);
    expect(err).toContain("events were lost 2 times: 75 % of the time was seen whole; 7 executions");
  });

  test("says which incomplete trees stand for longer ones, and takes none of them with --strict", () => {
    const main = entry("/postgres", { complete: false, fromMain: true });
    collected(cron, main, entry("/cat", { complete: false }));
    learning({ ...learned, trees: 3 });
    const strict = here(["accept", "--strict"]);
    expect(strict.err).toContain("2 incomplete trees were left out");
    expect(inForce()).toEqual(["/cron/sh"]);
    const { err } = here(["accept"]);
    expect(err).toContain("1 incomplete trees begin with the main program of their unit");
    expect(err).toContain("1 incomplete trees stand for themselves alone");
    expect(inForce()).toEqual(["/cat", "/cron/sh", "/postgres"]);
  });

  test("leaves out a tree that a baseline cannot hold", () => {
    collected(cron, entry("/x\n/y"));
    learning({ ...learned, trees: 2 });
    const { code, err } = here(["accept"]);
    expect(code).toBe(0);
    expect(err).toContain(
      "1 rows of the journal are no trees: an empty column, or one that is not printable",
    );
    expect(inForce()).toEqual(["/cron/sh"]);
  });

  // The attacker has the rights of the reporter's user, and so may write anything into its database.
  const implant = entry("/nginx/evil-implant");
  const forgeries = {
    "a row without the warden's key": { ...sealed(implant), tree_seal: "0".repeat(32) },
    "the seals of another tree": { ...sealed(cron), ...treeOfEntry(implant), complete: 1, fromMain: 0 },
  };
  for (const [what, forged] of Object.entries(forgeries)) {
    test(`refuses everything if there is ${what}, and changes nothing`, () => {
      collectedRows([sealed(cron), forged]);
      learning({ ...learned, trees: 1 });
      const { code, err } = here(["accept"]);
      expect(code).toBe(1);
      expect(err).toContain("not accepted: 1 row of the journal without the warden's seal");
      expect(readdirSync(join(state, "baseline"))).not.toContain("in-force");
      // With --anyway the genuine rows are accepted, and no others.
      expect(here(["accept", "--anyway"]).code).toBe(0);
      expect(inForce()).toEqual(["/cron/sh"]);
    });
  }

  test("takes no tree of an earlier learning run, which an alarm may have been", () => {
    const earlier = { ...origin, learning: "6".repeat(32), warden: "run:0" };
    collectedRows([sealed(cron), sealed(implant, earlier)]);
    learning({ ...learned, trees: 1 });
    expect(here(["accept"]).code).toBe(0);
    expect(inForce()).toEqual(["/cron/sh"]);
  });

  test("refuses a journal from which learned trees were removed", () => {
    collected(cron);
    learning({ ...learned, trees: 2 });
    expect(here(["accept"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("not accepted: 1 of 2 learned trees are not in the journal"),
    });
  });

  test("takes the others where trees were on their way when treewarden ended, and says how many are missing", () => {
    collected(cron);
    learning({ ...learned, trees: 3, unconfirmed: 2 });
    expect(here(["accept"])).toMatchObject({
      code: 0,
      err: expect.stringContaining("2 trees were found shortly before treewarden ended"),
    });
    learning({ ...learned, trees: 4, unconfirmed: 2 });
    expect(here(["accept"]).code).toBe(1);
  });

  test.skipIf(!asRoot)("of another user than root cannot read the key, and says so", () => {
    collected(cron);
    learning(learned);
    chmodSync(join(state, "baseline"), 0o755);
    chmodSync(join(state, "baseline/learning.json"), 0o644);
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, COMMAND, "baseline", "accept", "--state-dir", state],
      { env: {}, uid: NOBODY, gid: NOBODY },
    );
    expect([exitCode, stderr.toString()]).toEqual([3, expect.stringContaining("run it with sudo")]);
  });

  test("without a learning there is nothing to accept", () => {
    expect(here(["accept"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("nothing was learned yet"),
    });
  });
});

describe("compare", () => {
  test("shows each new tree once and says no", () => {
    collected(cron, ssh);
    const { code, out } = here(["compare", "--baseline", fileOf("web1", cron), "--output", "pretty"]);
    expect([code, out]).toEqual([1, "/sshd/bash  /usr/bin/bash\n"]);
  });

  test("is fine if all are known", () => {
    collected(cron);
    expect(here(["compare", "--baseline", fileOf("web1", cron, ssh)])).toMatchObject({ code: 0, out: "" });
  });

  test("writes one flat JSON object a line, with its stamps", () => {
    collected(ssh);
    const line: unknown = JSON.parse(
      here(["compare", "--baseline", fileOf("web1", cron), "--output", "json"]).out,
    );
    expect(line).toMatchObject({
      "event.name": "baseline.unknown",
      timestamp: expect.any(String),
      "log.record.uid": expect.any(String),
      "tree.exact": "/sshd/bash",
      "baseline.first": timeText(NOON),
    });
  });

  test("knows a tree by the incomplete end that was learned of its unit's main program", () => {
    collected(entry("/pg_ctl/postgres", { path: "/p" }));
    const alone = { path: "/p", complete: false };
    const main = fileOf("db", entry("/postgres", { ...alone, fromMain: true }));
    expect(here(["compare", "--baseline", main]).code).toBe(0);
    expect(here(["compare", "--baseline", fileOf("other", entry("/postgres", alone))]).code).toBe(1);
  });

  test("hides what is excluded, and shows it when asked", () => {
    collected(ssh);
    const baseline = fileOf("web1", cron);
    expect(here(["exclude", "add", "/sshd/**", "--user", "1000", "--reason", "moving"]).code).toBe(0);
    const shown = ["compare", "--baseline", baseline, "--output", "pretty"];
    expect(here(shown)).toMatchObject({ code: 0, out: "" });
    expect(here([...shown, "--show-excluded"]).out).toBe("excluded by /sshd/**: /sshd/bash  /usr/bin/bash\n");
  });

  test.skipIf(!asRoot)("root leaves nothing of its own beside the reporter's database", () => {
    collected(cron);
    here(["compare", "--baseline", fileOf("web1", cron)]);
    const folder = join(state, "report");
    for (const name of readdirSync(folder))
      expect([name, statSync(join(folder, name)).uid]).toEqual([name, NOBODY]);
  });

  test("leaves out a row that the reporter made up, and does not end well", () => {
    const forged = { ...sealed(ssh), count_seal: "0".repeat(32) };
    collectedRows([sealed(cron), forged]);
    const { code, out, err } = here(["compare", "--baseline", fileOf("web1", cron)]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("1 row of the journal without the warden's seal, and left out");
  });

  test("without a baseline is wrong use", () => {
    expect(here(["compare"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("no baseline in force"),
    });
  });
});

describe("files", () => {
  test("what was imported is exported as it was", () => {
    const path = fileOf("web1", cron, ssh);
    expect(here(["import", path]).code).toBe(0);
    expect(here(["export"]).out).toBe(readFileSync(path, "utf8"));
  });

  test("an edited file is imported without its digest, and never with a wrong one", () => {
    const path = fileOf("web1", cron, ssh);
    const text = readFileSync(path, "utf8").replace(/^-\t\/sshd.*\n/m, "");
    writeFileSync(path, text);
    expect(here(["import", path])).toMatchObject({ code: 2, err: expect.stringContaining("digest") });
    expect(readdirSync(state)).toEqual(["web1"]);
    writeFileSync(path, text.replace(/^digest.*\n/m, ""));
    expect(here(["import", path]).code).toBe(0);
    expect(inForce()).toEqual(["/cron/sh"]);
  });

  test("a broken file is told with its line and changes nothing", () => {
    here(["import", fileOf("web1", cron)]);
    const path = fileOf("web2", ssh);
    writeFileSync(
      path,
      readFileSync(path, "utf8")
        .replace(/^digest.*\n/m, "")
        .replace("\tcomplete\t", "\thalf\t"),
    );
    expect(here(["import", path])).toMatchObject({
      code: 2,
      err: expect.stringContaining(`${path}:9: lineage "half"`),
    });
    expect(inForce()).toEqual(["/cron/sh"]);
  });

  test("diff says what was added and removed", () => {
    const { code, out } = run(["diff", fileOf("a", cron), fileOf("b", ssh), "--output", "pretty"]);
    expect([code, out]).toEqual([1, "- /cron/sh  /usr/bin/sh\n+ /sshd/bash  /usr/bin/bash\n"]);
    expect(run(["diff", fileOf("a", cron), fileOf("b", cron)])).toMatchObject({ code: 0, out: "" });
  });

  test("merge makes one baseline of several hosts'", () => {
    const out = join(state, "all");
    expect(run(["merge", fileOf("a", cron), fileOf("b", cron, ssh), "--out", out]).code).toBe(0);
    const parsed = parseBaseline(readFileSync(out));
    expect(parsed.ok && parsed.value.header).toMatchObject({ role: "web", hosts: ["a", "b"] });
    expect(parsed.ok && parsed.value.entries.map(({ exact, hosts }) => [exact, hosts])).toEqual([
      ["/cron/sh", 2],
      ["/sshd/bash", 1],
    ]);
  });

  test("a named pipe is no baseline, and nobody waits for it", () => {
    const pipe = join(state, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    expect(here(["import", pipe]).code).toBe(2);
  });
});

describe("review", () => {
  test("accepts, excludes, makes rules and leaves, as it is told", () => {
    here(["import", fileOf("web1", cron)]);
    collected(...["/a", "/b", "/c", "/d"].map((tree) => entry(tree)));
    const { code, out, err } = here(
      ["review", "--other", fileOf("web2", entry("/a"))],
      "a\ne\nmoving\nr\ns\n",
    );
    expect(code).toBe(1);
    expect(err).toContain("1 other hosts have it");
    expect(err).toContain("1 accepted, 1 excluded, 1 turned into rules, 1 left");
    expect(inForce()).toEqual(["/a", "/cron/sh"]);
    expect(here(["exclude", "list", "--output", "pretty"]).out).toContain("/b\t-\t-\t-\tmoving\n");
    expect(JSON.parse(out)).toMatchObject({ when: { "==": [{ var: "tree.habit" }, "/c"] }, action: "alert" });
  });

  test("an end of the answers decides nothing more", () => {
    here(["import", fileOf("web1", cron)]);
    collected(ssh);
    expect(here(["review"], "").code).toBe(1);
    expect(inForce()).toEqual(["/cron/sh"]);
  });
});

describe("exclude", () => {
  test("asks for a reason, and refuses what fits everything", () => {
    expect(here(["exclude", "add", "/sshd/**"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("reason"),
    });
    const all = here(["exclude", "add", "/**", "--reason", "x"]);
    expect(all).toMatchObject({ code: 2, err: expect.stringContaining("it matches every tree") });
  });

  test("tests a pattern before it is added", () => {
    collected(cron, ssh);
    const baseline = fileOf("web1");
    const args = ["--baseline", baseline, "--output", "pretty"];
    expect(here(["exclude", "test", "/sshd/*", ...args]).out).toBe(
      "excluded by /sshd/*: /sshd/bash  /usr/bin/bash\n",
    );
    expect(here(["exclude", "test", "/nginx/*", ...args])).toMatchObject({ code: 1, out: "" });
  });

  test("ends when it was said to", () => {
    collected(ssh);
    const baseline = fileOf("web1");
    here(["exclude", "add", "/sshd/*", "--until", "2020-01-01T00:00:00Z", "--reason", "long ago"]);
    expect(here(["compare", "--baseline", baseline]).code).toBe(1);
  });
});

describe("learn", () => {
  test("without a warden says so and leaves nothing", () => {
    writeFileSync(join(state, "lock"), "1\n");
    expect(here(["learn", "--for", "1h"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("no treewarden runs"),
    });
    expect(readdirSync(state)).toEqual(["lock"]);
  });

  test("leaves its request where only root writes, and signals whoever holds the lock", async () => {
    writeFileSync(join(state, "lock"), "");
    const holder = Bun.spawn([process.execPath, join(import.meta.dir, "holder.ts"), join(state, "lock")], {
      stdout: "pipe",
    });
    const told = holder.stdout.getReader();
    await told.read();
    expect(here(["learn", "--for", "1h"]).code).toBe(0);
    expect(new TextDecoder().decode((await told.read()).value)).toBe("SIGUSR1\n");
    await holder.exited;
    const folder = join(state, "requests");
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const [name = ""] = readdirSync(folder);
    expect(JSON.parse(readFileSync(join(folder, name), "utf8"))).toEqual({
      version: 1,
      kind: "learn",
      seconds: 3600,
    });
  });

  test("shows how far it is", () => {
    learning({ ...startLearning(Math.floor(Date.now() / 1000) - 7200, 86_400, RUN), trees: 12 });
    expect(here(["learn", "--show", "--output", "pretty"]).out).toContain(
      "learning for 2 h, 22 h to go\n12 trees",
    );
  });
});

describe.skipIf(!asRoot)("a baseline that comes with a role", () => {
  /** As the warden writes down what it has loaded. */
  function loaded(...paths: readonly string[]): void {
    const list = paths.map((file) => ({ role: "web", file, bytes: readFileSync(file), trees: 1 }));
    mkdirSync(join(state, "baseline"), { recursive: true });
    const text = formatRoleBaselines(list.map((one) => ({ ...one, digest: digestOf(one.bytes) })));
    writeFileSync(join(state, "baseline/of-roles.json"), text);
  }

  test("is known to compare, review and diff, with or without one of the host's own", () => {
    const path = fileOf("web.baseline", entry("/cron/run"));
    loaded(path);
    collected(entry("/cron/run"), entry("/sshd/sh"));
    const compared = here(["compare", "--output", "json"]);
    expect(compared.code).toBe(1);
    expect(compared.out.trim().split("\n").length).toBe(1);
    expect(compared.out).toContain("/sshd/sh");
    expect(here(["review"], "a\n").err).toContain("1 accepted");
    // What was accepted is the host's own; what comes with the role is not copied.
    expect(inForce()).toEqual(["/sshd/sh"]);
    expect(here(["compare"]).code).toBe(0);
    expect(here(["diff", path, "--output", "json"]).out).toContain("baseline.removed");
    expect(here(["export"]).out).not.toContain("/cron/run");
  });

  test("that was changed since it was loaded, or is gone, is left out and that is said", () => {
    const path = fileOf("web.baseline", entry("/cron/run"));
    loaded(path);
    collected(entry("/cron/run"));
    here(["import", fileOf("own", entry("/sshd/sh"))]);
    fileOf("web.baseline", entry("/cron/run", { count: 7 }));
    const changed = here(["compare"]);
    expect(changed.code).toBe(1);
    expect(changed.err).toContain(`${path} was changed since treewarden loaded it`);
    rmSync(path);
    expect(here(["compare"]).err).toContain(`${path} was changed since treewarden loaded it`);
  });
});
