import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { LearnedTree, LearnedUpdate } from "../../src/baseline/learned.ts";
import { Learning, type LearningLimits } from "../../src/baseline/learning.ts";
import { afterLoss, atTime, startLearning, stopLearning } from "../../src/baseline/learning-state.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { incomplete, lineage } from "./lineages.ts";
import { NOON, RUN } from "./samples.ts";

const cronSh = lineage("/usr/sbin/cron", { run: "/usr/bin/dash", uid: 33 });
const sshd = lineage("/usr/sbin/sshd");

function learningOf(limits?: LearningLimits): Learning {
  return new Learning({
    state: startLearning(NOON, null, RUN),
    redact: (args) => args.map((arg) => arg.replace(/^TOKEN=.*/, "TOKEN=...")),
    ...(limits === undefined ? {} : { limits }),
  });
}

/** What the reporter gets, as it would hold it. */
class Table {
  readonly rows = new Map<string, LearnedTree>();
  room = Number.POSITIVE_INFINITY;

  readonly take = (update: LearnedUpdate): boolean => {
    this.room -= 1;
    if (this.room < 0) return false;
    if (update.kind === "tree") this.rows.set(update.tree.id, update.tree);
    else if (update.kind === "executables")
      this.change(update.id, { executables: update.executables, contents: update.contents });
    else for (const counted of update.counts) this.change(counted.id, counted);
    return true;
  };

  private change(id: string, changed: Partial<LearnedTree>): void {
    const row = this.rows.get(id);
    expect(row).toBeDefined();
    if (row !== undefined) this.rows.set(id, { ...row, ...changed });
  }

  get all(): readonly LearnedTree[] {
    return [...this.rows.values()];
  }
}

describe("learning", () => {
  test("tells later what the examiner finds out about a file, for every tree that runs it", () => {
    const asked: (string | undefined)[] = [];
    const learning = new Learning({
      state: startLearning(NOON, null, RUN),
      redact: (args) => args,
      look: ({ executable }) => {
        asked.push(executable);
        return undefined;
      },
    });
    const table = new Table();
    const dash = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/dash" };
    for (let i = 0; i < 3; i++) learning.observe(cronSh, "cron.service", undefined, NOON, dash);
    learning.observe(cronSh, "-", undefined, NOON, dash);
    learning.observe(sshd, "-", undefined, NOON, { ...dash, executable: "/usr/sbin/sshd" });
    learning.report(table.take);
    const texts = () => table.all.map(({ executables }) => executables);
    expect(texts()).toEqual(["/usr/bin/dash,-,-", "/usr/bin/dash,-,-", "/usr/sbin/sshd,-,-"]);
    expect(asked).toEqual(["/usr/bin/dash", "/usr/bin/dash", "/usr/sbin/sshd"]);

    const digest = `sha256:${"1".repeat(64)}`;
    learning.examined("/usr/bin/dash", { package: "dash", modified: false });
    learning.examined("/usr/bin/dash", { package: "dash", modified: false, digest });
    learning.examined("/usr/bin/other", { package: "other" });
    expect(learning.hasReports).toBe(true);
    table.room = 1;
    learning.report(table.take);
    table.room = 1;
    learning.report(table.take);
    expect(texts()).toEqual([
      `/usr/bin/dash,dash,${digest}`,
      `/usr/bin/dash,dash,${digest}`,
      "/usr/sbin/sshd,-,-",
    ]);
    learning.examined("/usr/bin/dash", { package: "dash", modified: false, digest });
    expect(learning.hasReports).toBe(false);
  });

  test("asks nobody about a file of a container: that path is another file on the host", () => {
    const asked: unknown[] = [];
    const learning = new Learning({
      state: startLearning(NOON, null, RUN),
      redact: (args) => args,
      look: (facts) => {
        asked.push(facts);
        return { package: "coreutils" };
      },
    });
    const inside = lineage({ run: "/usr/bin/ls", container: "c".repeat(64) });
    const ls = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/ls" };
    learning.observe(inside, "container", undefined, NOON, ls);
    learning.examined("/usr/bin/ls", { package: "coreutils" });
    const table = new Table();
    learning.report(table.take);
    expect(asked).toEqual([]);
    expect(table.all.map(({ executables }) => executables)).toEqual(["/usr/bin/ls,-,-"]);
  });

  test("files are kept for so many trees, and a randomly named program brings no more", () => {
    const learning = learningOf();
    for (let i = 0; i < 100; i++) {
      const executable = `/opt/app-1.${i}.0/app`;
      learning.observe(lineage(executable), "-", undefined, NOON, {
        ...factsFromEvents(nothingKnown),
        executable,
      });
    }
    const table = new Table();
    learning.report(table.take);
    expect(table.all.map(({ executables }) => executables.split(" ").length)).toEqual([8]);
  });

  test("tells a tree once, with what is known of it", () => {
    const learning = learningOf();
    const table = new Table();
    learning.observe(cronSh, "cron.service", ["sh", "-c", "TOKEN=secret"], NOON);
    learning.observe(cronSh, "cron.service", ["sh", "-c", "other"], NOON + 60);
    learning.report(table.take);
    expect(table.all).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        scope: "cron.service",
        exact: treeOf(cronSh).exact,
        habit: treeOf(cronSh).habit,
        path: "/usr/bin/dash",
        tree: treeOf(cronSh).path,
        complete: true,
        fromMain: false,
        first: NOON,
        last: NOON + 60,
        count: 2,
        users: "0,33",
        executables: "-",
        contents: "-",
        arguments: "sh -c TOKEN=...",
        change: null,
      },
    ]);
    expect(learning.hasReports).toBe(false);
  });

  test("then tells counts, absolute", () => {
    const learning = learningOf();
    const table = new Table();
    learning.observe(cronSh, "-", undefined, NOON);
    learning.report(table.take);
    learning.observe(cronSh, "-", undefined, NOON + 5);
    learning.observe(cronSh, "-", undefined, NOON + 6);
    learning.report(table.take);
    expect(table.all[0]).toMatchObject({ first: NOON, last: NOON + 6, count: 3 });
  });

  test("keeps apart what runs in different scopes, and what was seen whole or in part", () => {
    const learning = learningOf();
    const table = new Table();
    learning.observe(sshd, "ssh.service", undefined, NOON);
    learning.observe(sshd, "container", undefined, NOON);
    learning.observe(incomplete("/usr/sbin/sshd"), "container", undefined, NOON);
    learning.report(table.take);
    expect(table.all.map(({ scope, complete }) => [scope, complete])).toEqual([
      ["ssh.service", true],
      ["container", true],
      ["container", false],
    ]);
  });

  test("keeps apart what a program ran with, so that an executable seen later does not come with what was learned", () => {
    const learning = learningOf();
    const table = new Table();
    const known = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/dash" };
    const job = lineage("/usr/sbin/cron", { run: "/usr/bin/dash", args: ["sh", "/srv/job"] });
    learning.observe(job, "cron.service", undefined, NOON, known);
    learning.state = stopLearning(learning.state, NOON + 1);
    const elf = lineage("/usr/sbin/cron", { run: "/srv/job" });
    learning.observe(elf, "cron.service", undefined, NOON + 2, { ...known, executable: "/srv/job" });
    learning.report(table.take);
    expect(table.all.map(({ path, first, executables }) => [path, first - NOON, executables])).toEqual([
      ["/srv/job", 0, "/usr/bin/dash,-,-"],
      ["/srv/job", 2, "/srv/job,-,-"],
    ]);
  });

  test("joins the users of lineages that are the same tree", () => {
    const learning = learningOf();
    const table = new Table();
    learning.observe(cronSh, "-", undefined, NOON);
    learning.report(table.take);
    learning.observe(lineage("/usr/sbin/cron", { run: "/usr/bin/dash", uid: 7 }), "-", undefined, NOON);
    learning.report(table.take);
    expect(table.all.map(({ users }) => users)).toEqual(["0,7,33"]);
  });

  test("what could not be read is counted and not learned", () => {
    const learning = learningOf();
    learning.observe(cronSh, undefined, undefined, NOON);
    expect(learning.state).toMatchObject({ unreadable: 1, trees: 0 });
    expect(learning.hasReports).toBe(false);
  });

  test("a reporter without room gets everything in the end", () => {
    const paths = [..."abcdefghij"].map((letter) => lineage("/usr/sbin/cron", `/usr/bin/tool-${letter}`));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 3 })), { maxLength: 60 }), (steps) => {
        const learning = learningOf();
        const table = new Table();
        const expected = new Map<string, number>();
        for (const [which, room] of steps) {
          const leaf = paths[which];
          if (leaf === undefined) continue;
          learning.observe(leaf, "-", undefined, NOON);
          expected.set(treeOf(leaf).exact, (expected.get(treeOf(leaf).exact) ?? 0) + 1);
          table.room = room;
          learning.report(table.take);
        }
        table.room = Number.POSITIVE_INFINITY;
        learning.report(table.take);
        expect(new Map(table.all.map(({ exact, count }) => [exact, count]))).toEqual(expected);
        expect(learning.hasReports).toBe(false);
      }),
    );
  });

  test("beyond its bound it knows that something is missing, and never is finished", () => {
    const learning = learningOf({ trees: 1, waiting: 10 });
    learning.observe(sshd, "-", undefined, NOON);
    learning.observe(cronSh, "-", undefined, NOON);
    expect(learning.state.missed).toBe(1);
    expect(atTime({ ...learning.state, wanted: 60 }, NOON + 3600).phase).toBe("learning");
  });

  test("trees for which the reporter had no room are found again when they run again", () => {
    const learning = learningOf({ trees: 10, waiting: 1 });
    const table = new Table();
    learning.observe(sshd, "-", undefined, NOON);
    learning.observe(cronSh, "-", undefined, NOON);
    learning.report(table.take);
    learning.observe(cronSh, "-", undefined, NOON + 1);
    learning.report(table.take);
    expect(table.all).toHaveLength(2);
  });

  test("goes on over losses as its state says", () => {
    const learning = learningOf();
    learning.state = afterLoss(learning.state, NOON + 1);
    learning.observe(sshd, "-", undefined, NOON + 2);
    expect(stopLearning(learning.state, NOON + 3)).toMatchObject({ phase: "stopped", losses: 1, trees: 1 });
  });
});
