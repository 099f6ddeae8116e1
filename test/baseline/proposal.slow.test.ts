// What an operator sees of a learning run, and decides about, before and while it is put into force.
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { startLearning, stopLearning } from "../../src/baseline/learning-state.ts";
import { entry, NOON, RUN } from "./samples.ts";
import { COMMAND, StateDirectory } from "./state-directory.ts";

// Each command is a process of its own, and several are needed for most of these.
setDefaultTimeout(30_000);

let host: StateDirectory;
beforeEach(() => {
  host = new StateDirectory();
});
afterEach(() => host[Symbol.dispose]());

const finished = stopLearning(startLearning(NOON, null, RUN), NOON + 3600);
const inNginx = { scope: "nginx.service" };
const inCron = { scope: "cron.service" };
const nginx = entry("/nginx", { ...inNginx, count: 2 });
const shell = entry("/nginx/sh", { ...inNginx, count: 24 });
const curl = entry("/nginx/sh/curl", inNginx);
const other = entry("/nginx-debug", inNginx);
const backup = entry("/cron/backup.sh/tar", inCron);
const upload = entry("/cron/backup.sh/upload", inCron);

function learned(...entries: readonly BaselineEntry[]): void {
  host.collected(...entries);
  host.learning({ ...finished, trees: entries.length });
}

describe("learn --show", () => {
  test("shows each learned tree below its unit and its parents, while nothing is in force", () => {
    learned(curl, other, shell, backup, nginx);
    const { code, out, err } = host.run(["learn", "--show", "--output", "pretty"]);
    expect(code).toBe(0);
    expect(out).toEndWith(
      [
        "cron.service",
        "  cron",
        "    backup.sh",
        "      tar  /usr/bin/tar  once",
        "nginx.service",
        "  nginx  /usr/bin/nginx  2 times",
        "    sh  /usr/bin/sh  24 times",
        "      curl  /usr/bin/curl  once",
        "  nginx-debug  /usr/bin/nginx-debug  once",
        "",
      ].join("\n"),
    );
    expect(err).toContain("5 trees in 2 units");
    expect(readdirSync(join(host.path, "baseline"))).not.toContain("in-force");
  });

  test("marks what the baseline in force does not know, and --new shows nothing else", () => {
    host.run(["import", host.file("web1", nginx)]);
    learned(nginx, shell);
    const { out } = host.run(["learn", "--show", "--output", "pretty"]);
    expect(out).toContain("  nginx  /usr/bin/nginx  2 times\n    sh  /usr/bin/sh  24 times  new\n");
    const json = host.run(["learn", "--show", "--new", "--output", "json"]).out.trim().split("\n");
    const [progress, ...trees]: Record<string, unknown>[] = json.map((line) => JSON.parse(line));
    expect(progress?.["event.name"]).toBe("baseline.learning");
    expect(trees).toEqual([
      expect.objectContaining({
        "event.name": "baseline.learned",
        "tree.habit": "/nginx/sh",
        "baseline.scope": "nginx.service",
        "tree.count": 24,
        "tree.known": false,
      }),
    ]);
  });

  test("selects by unit and by tree, and says which of the two is no pattern", () => {
    learned(nginx, shell, curl, backup);
    const shown = (...filter: readonly string[]): readonly string[] =>
      host
        .run(["learn", "--show", "--output", "json", ...filter])
        .out.split("\n")
        .flatMap((line) => /"tree.habit":"([^"]*)"/.exec(line)?.[1] ?? []);
    expect(shown("--unit", "nginx")).toEqual(["/nginx", "/nginx/sh", "/nginx/sh/curl"]);
    expect(shown("--unit", "cron.*")).toEqual(["/cron/backup.sh/tar"]);
    expect(shown("--tree", "/**/sh/**")).toEqual(["/nginx/sh", "/nginx/sh/curl"]);
    expect(host.run(["learn", "--show", "--tree", "nginx"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--tree: a tree begins with a slash"),
    });
  });
});

describe("accept", () => {
  test("takes only what is selected; the rest stays proposed", () => {
    learned(nginx, shell, backup);
    expect(host.run(["accept", "--unit", "cron.service"]).code).toBe(0);
    expect(host.inForce()).toEqual(["/cron/backup.sh/tar"]);
    expect(host.run(["accept"]).code).toBe(0);
    expect(host.inForce()).toEqual(["/cron/backup.sh/tar", "/nginx", "/nginx/sh"]);
  });

  test("lists what it takes where a script asks for it, and is silent where it does not", () => {
    learned(nginx);
    expect(host.run(["accept", "--output", "json"]).out).toContain('"event.name":"baseline.learned"');
    expect(host.run(["accept"]).out).toBe("");
  });

  /** What a terminal turns ^C into. */
  const INTERRUPT = "SIGINT";

  /** The command on a terminal, where a person types `answer`. */
  async function onTerminal(answer: string, ...flags: readonly string[]): Promise<string> {
    let shown = "";
    const decoder = new TextDecoder();
    await using terminal = new Bun.Terminal({
      data: (_, bytes) => {
        shown += decoder.decode(bytes, { stream: true });
      },
    });
    const command = Bun.spawn(
      [process.execPath, COMMAND, "baseline", "accept", "--state-dir", host.path, ...flags],
      { terminal, env: {} },
    );
    const end = performance.now() + 10_000;
    while (!shown.includes("[y/N]") && command.exitCode === null && performance.now() < end)
      await Bun.sleep(10);
    if (answer === INTERRUPT) command.kill("SIGINT");
    else if (command.exitCode === null) terminal.write(answer);
    return `${shown}\nexit code ${await command.exited}`;
  }

  test("on a terminal shows the trees and asks: anything but yes changes nothing", async () => {
    learned(nginx, shell);
    for (const answer of ["n\r", "\r", "\u0004", INTERRUPT]) {
      const shown = await onTerminal(answer);
      expect(shown).toContain("    sh  /usr/bin/sh  24 times");
      expect(shown).toContain("put 2 trees in 1 unit into force? [y/N]");
      expect(shown).toMatch(/exit code (1|130)$/);
    }
    expect(readdirSync(join(host.path, "baseline"))).not.toContain("in-force");
    expect(await onTerminal("y\r")).toEndWith("exit code 0");
    expect(host.inForce()).toEqual(["/nginx", "/nginx/sh"]);
  });

  test("on a terminal asks nothing with --yes", async () => {
    learned(nginx);
    const shown = await onTerminal("", "--yes");
    expect(shown).toEndWith("exit code 0");
    expect(shown).not.toContain("[y/N]");
  });
});

describe("review", () => {
  beforeEach(() => {
    host.run(["import", host.file("web1", entry("/init"))]);
  });

  test("decides about a tree and all below it by one answer", () => {
    host.collected(nginx, shell, curl, other, backup, upload);
    const { out, err } = host.run(["review"], "A\nR\ns\n");
    expect(err).toContain(
      "accept, exclude, rule, skip or quit [a/e/r/s/q]; A, E, R, S: with the 2 below it?",
    );
    // The first is /cron/backup.sh/tar, which has nothing below it.
    expect(host.inForce()).toEqual(["/init", "/cron/backup.sh/tar"]);
    expect(JSON.parse(out)).toMatchObject({
      when: { or: [{ "==": [{ var: "tree.habit" }, "/cron/backup.sh/upload"] }, expect.anything()] },
    });
    const second = host.run(["review", "--unit", "nginx.service"], "A\ns\n");
    expect(second.err).toContain("3 accepted, 0 excluded, 0 turned into rules, 1 left");
    expect(host.inForce()).toContain("/nginx/sh/curl");
    expect(host.inForce()).not.toContain("/nginx-debug");
  });

  test("excludes a subtree by a pattern that hides what comes below it later, too", () => {
    host.collected(nginx, shell);
    host.run(["review"], "E\nmoving\n");
    expect(host.run(["exclude", "list", "--output", "pretty"]).out).toContain(
      "/nginx/**\t-\tnginx.service\t-\tmoving\n",
    );
    expect(host.run(["compare"]).code).toBe(0);
  });

  test("saves each decision before it asks about the next tree", async () => {
    host.collected(nginx, shell, curl);
    const review = Bun.spawn([process.execPath, COMMAND, "baseline", "review", "--state-dir", host.path], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
      env: {},
    });
    let asked = "";
    const decoder = new TextDecoder();
    const reader = review.stderr.getReader();
    const until = async (text: string): Promise<void> => {
      while (!asked.includes(text)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`ended before ${text}: ${asked}`);
        asked += decoder.decode(value, { stream: true });
      }
    };
    await until("1 of 3");
    review.stdin.write("a\ne\nmoving\n");
    review.stdin.flush();
    await until("3 of 3");
    review.kill("SIGKILL");
    await review.exited;
    expect(host.inForce()).toEqual(["/init", "/nginx"]);
    expect(readFileSync(join(host.path, "baseline/exclusions"), "utf8")).toContain("/nginx/sh\t");
  });

  test("adds to what another command has put into force in the meantime", async () => {
    host.collected(nginx, shell);
    const review = Bun.spawn([process.execPath, COMMAND, "baseline", "review", "--state-dir", host.path], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
      env: {},
    });
    review.stdin.write("a\n");
    review.stdin.flush();
    const end = performance.now() + 10_000;
    while (!host.inForce().includes("/nginx") && performance.now() < end) await Bun.sleep(20);
    host.run(["import", host.file("web2", entry("/another"))]);
    review.stdin.write("a\n");
    review.stdin.end();
    await review.exited;
    expect(host.inForce()).toEqual(["/another", "/nginx/sh"]);
  });

  test("without questions accepts and excludes what matches, and excluding wins", () => {
    host.collected(nginx, shell, curl, backup);
    const { code, out, err } = host.run([
      ...["review", "--accept", "/nginx/**", "--exclude", "/**/sh/**", "--reason", "not ours"],
      ...["--output", "json"],
    ]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("1 accepted, 2 excluded, 0 turned into rules, 1 left"),
    ]);
    expect(out.match(/"event.name":"baseline.(accepted|excluded)"/g)?.length).toBe(3);
    expect(host.inForce()).toEqual(["/init", "/nginx"]);
    expect(host.run(["review", "--accept", "/**"]).code).toBe(0);
    expect(host.inForce()).toEqual(["/init", "/cron/backup.sh/tar", "/nginx"]);
  });

  test("without questions refuses an exclusion of everything or without a reason, and then decides nothing", () => {
    host.collected(nginx);
    for (const flags of [["/nginx"], ["/**", "--reason", "all"]])
      expect(host.run(["review", "--accept", "/**", "--exclude", ...flags]).code).toBe(2);
    expect(host.inForce()).toEqual(["/init"]);
  });

  test("a hostile name is not taken for a pattern", () => {
    host.collected(entry("/cron/*", { path: "/tmp/*" }), backup);
    const { err } = host.run(["review"], "e\ns\ns\n");
    expect(err).toContain("not possible: a name has a character that patterns use");
    expect(host.run(["exclude", "list", "--output", "pretty"]).out).not.toContain("/cron/");
  });
});

describe("exclude remove", () => {
  const add = (tree: string, ...flags: readonly string[]): number =>
    host.run(["exclude", "add", tree, "--reason", "moving", ...flags]).code;
  const patterns = (): readonly string[] =>
    host
      .run(["exclude", "list", "--output", "pretty"])
      .out.split("\n")
      .filter((line) => line.startsWith("/"))
      .map((line) => line.split("\t").slice(0, 3).join(" "));

  test("removes the pattern that was added, and names the nearest one for a slip", () => {
    add("/sshd/**");
    add("/cron/**");
    expect(host.run(["exclude", "remove", "/sshd/*"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("perhaps /sshd/**"),
    });
    expect(host.run(["exclude", "remove", "/sshd/**"]).code).toBe(0);
    expect(patterns()).toEqual(["/cron/** - *"]);
  });

  test("of several with one pattern removes the selected ones, or says how to select", () => {
    for (const user of ["1000", "1001", "1002"]) add("/sshd/**", "--user", user);
    expect(host.run(["exclude", "remove", "/sshd/**"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("select one with --user or --scope"),
    });
    expect(host.run(["exclude", "remove", "/sshd/**", "--user", "1001"]).code).toBe(0);
    expect(patterns()).toEqual(["/sshd/** 1000 *", "/sshd/** 1002 *"]);
    expect(host.run(["exclude", "remove", "/sshd/**", "--all"]).code).toBe(0);
    expect(patterns()).toEqual([]);
  });

  test("removes what has ended", () => {
    add("/sshd/**", "--until", "2020-01-01T00:00:00Z");
    add("/cron/**");
    expect(host.run(["exclude", "remove", "--ended"]).code).toBe(0);
    expect(patterns()).toEqual(["/cron/** - *"]);
    expect(host.run(["exclude", "remove", "--ended"]).code).toBe(1);
  });
});
