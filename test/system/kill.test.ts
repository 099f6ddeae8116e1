import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/**
 * A web server as far as its name goes: it starts a helper, and a shell with two programs under it, one of which was
 * given away by its parent. Each writes its pid into a file of its own.
 */
class Scene {
  readonly folder: string;
  readonly server: Bun.Subprocess;
  readonly bystander: Bun.Subprocess;

  constructor(folder: string) {
    this.folder = join(folder, "scene");
    mkdirSync(this.folder);
    const nginx = join(this.folder, "nginx");
    copyFileSync("/bin/bash", nginx);
    const script = `
      sleep 300 & echo $! > helper
      sh -c 'echo $$ > shell; sleep 301 & echo $! > child; (sleep 302 & echo $! > orphan); wait' &
      echo $$ > server; wait; sleep 303`;
    this.server = Bun.spawn([nginx, "-c", script], {
      cwd: this.folder,
      stdio: ["ignore", "ignore", "ignore"],
    });
    this.bystander = Bun.spawn(["sh", "-c", "sleep 304; true"], { stdio: ["ignore", "ignore", "ignore"] });
  }

  pid(name: string): number {
    try {
      return Number(readFileSync(join(this.folder, name), "utf8"));
    } catch {
      return 0;
    }
  }

  [Symbol.dispose](): void {
    for (const name of ["helper", "child", "orphan", "shell"]) if (this.pid(name) > 0) end(this.pid(name));
    this.server.kill("SIGKILL");
    Bun.spawnSync(["pkill", "-KILL", "-P", String(this.bystander.pid)]);
    this.bystander.kill("SIGKILL");
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

const verdictOn = (record: Readonly<Record<string, unknown>>): boolean =>
  record["event.name"] === "policy.verdict" &&
  record["policy.action"] === "kill" &&
  String(record["tree.exact"]).includes("/nginx/");

describe.skipIf(reason !== undefined)("a web server that starts a shell", () => {
  test("loses it and everything under it, and nothing else, with --enforcement kill", async () => {
    await using running = await Running.start(["--policy", "web", "--enforcement", "kill"]);
    using scene = new Scene(running.folder);
    const verdict = await running.seen(verdictOn);
    expect(verdict["policy.outcome"]).toBe("killed");
    await until("the shell is gone", () => !isAlive(scene.pid("shell")) || scene.pid("shell") === 0);
    await until("its children are gone", () =>
      ["child", "orphan"].every((name) => scene.pid(name) === 0 || !isAlive(scene.pid(name))),
    );
    expect(isAlive(scene.server.pid)).toBe(true);
    expect(isAlive(scene.bystander.pid)).toBe(true);
    expect(isAlive(scene.pid("helper"))).toBe(true);
  });

  test("keeps it, and it is told, with --enforcement observe", async () => {
    await using running = await Running.start(["--policy", "web"]);
    using scene = new Scene(running.folder);
    const verdict = await running.seen(verdictOn);
    expect(verdict["policy.outcome"]).toBe("would_kill");
    await until("all have started", () =>
      ["helper", "shell", "child", "orphan"].every((name) => scene.pid(name) > 0),
    );
    await Bun.sleep(300);
    for (const name of ["helper", "shell", "child", "orphan"]) expect(isAlive(scene.pid(name))).toBe(true);
    const metrics = await running.metrics();
    expect(
      metrics.sum("treewarden_verdicts_total", { action: "kill", outcome: "would_kill" }),
    ).toBeGreaterThan(0);
  });
});
