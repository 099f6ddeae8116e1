// nginx and PostgreSQL as their packages have them, learned, and closed by `--enforcement prevent`.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { learn } from "../system/server-watch.ts";
import { binary, Running, until } from "../system/treewarden.ts";
import { archiveCommandLine, Database } from "./database.ts";
import { type Account, FOLDER, Scene } from "./scene.ts";
import { WebServer } from "./web-server.ts";

export interface Load {
  readonly requests: number;
  readonly jobs: number;
}

/** It ends nothing but what the users of the check run. */
function policyOf({ web, sql }: Scene["accounts"]): object {
  const user = (account: Account) => ({ "==": [{ var: "process.user.id" }, account.uid] });
  const kill = (id: string, ...conditions: readonly object[]) => ({
    id,
    when: { and: conditions },
    action: "kill",
    severity: "high",
  });
  const shells = ["sh", "dash", "bash", "busybox"];
  return {
    role: "closed",
    rules: [
      kill(
        "shell-of-postgresql",
        user(sql),
        { under: ["postgres"] },
        { in: [{ var: "process.executable.name" }, shells] },
        { "!": { matches: [{ var: "process.command_line" }, archiveCommandLine] } },
      ),
      kill("unknown", { or: [user(web), user(sql)] }, { "==": [{ var: ["tree.known", true] }, false] }),
    ],
    default: "allow",
  };
}

const settings = `enforcement: prevent
armed: all
armed_since_hours: 0
kill:
  max_per_minute: 10000
`;

export class ClosedServers implements AsyncDisposable {
  readonly scene: Scene;
  readonly web: WebServer;
  readonly database: Database;
  readonly running: Running;
  private readonly disposables: AsyncDisposableStack;

  private constructor(disposables: AsyncDisposableStack, scene: Scene, running: Running) {
    this.disposables = disposables;
    this.scene = scene;
    this.running = running;
    this.web = disposables.use(new WebServer(scene));
    this.database = disposables.use(new Database(scene));
  }

  /** Both servers have lived under `load` and are closed. `prepare` is called before. */
  static async start(load: Load, prepare: (scene: Scene) => void): Promise<ClosedServers> {
    await using disposables = new AsyncDisposableStack();
    const scene = disposables.use(new Scene());
    prepare(scene);
    const policy = join(FOLDER, "policy.json");
    const config = join(FOLDER, "config.yaml");
    writeFileSync(policy, JSON.stringify(policyOf(scene.accounts)), { mode: 0o644 });
    writeFileSync(config, settings, { mode: 0o644 });
    const running = disposables.use(await Running.start(["--config", config, "--policy", policy]));
    const servers = new ClosedServers(disposables.move(), scene, running);
    try {
      await servers.learn(load);
      return servers;
    } catch (error) {
      await servers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What their days consist of. */
  async live({ requests, jobs }: Load): Promise<void> {
    const { web, database } = this;
    await Promise.all([web.serve(requests), database.work(jobs)]);
    web.reload();
    web.rotate();
    database.reload();
    database.rotate();
    await database.archive(3);
    database.report();
    await web.replaceOnTheFly();
  }

  /** Stops and starts PostgreSQL. */
  restartDatabase(): void {
    this.database.stop();
    this.database.start();
  }

  /** What was refused while `act` went on, and what failed in it, as texts. */
  async refusalsWhile(act: () => Promise<void>): Promise<readonly string[]> {
    const { running } = this;
    const from = running.records.length;
    const before = await this.refused();
    const texts: string[] = [];
    await act().catch((error) => texts.push(String(error)));
    // What was decided last is counted and recorded.
    await Bun.sleep(1_500);
    const refused = (await this.refused()) - before;
    if (refused === 0) return texts;
    const verdicts = running.records
      .slice(from)
      .filter(({ "event.name": name }) => name === "policy.verdict");
    for (const record of verdicts) texts.push(`${record["tree.exact"]} ${record["process.command_args"]}`);
    return [`${refused} refused`, ...texts];
  }

  /** Execs that were ended so far, rightly or not. */
  private async refused(): Promise<number> {
    const metrics = await this.running.metrics();
    const outcomes = ["killed", "prevented"].map((outcome) =>
      metrics.sum("treewarden_verdicts_total", { outcome }),
    );
    const mismatches = metrics.sum("treewarden_prevent_mismatches_total");
    return outcomes.reduce((sum, count) => sum + count, mismatches);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposables.disposeAsync();
  }

  private async learn(load: Load): Promise<void> {
    await learn(this.running, async () => {
      await this.web.start();
      this.database.start();
      await this.live(load);
      this.restartDatabase();
    });
    await until("nginx and its workers, and PostgreSQL's processes, are closed", () => {
      const { stdout } = Bun.spawnSync([binary, "status", "--state-dir", join(this.running.folder, "state")]);
      const closed = (program: string): number =>
        Number(new RegExp(`/${program}: (\\d+) process`).exec(stdout.toString())?.[1] ?? 0);
      return closed("nginx") >= 3 && closed("postgres") >= 2;
    });
  }
}
