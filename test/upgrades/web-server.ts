// nginx as its package has it, as a user of the check, and its ordinary life.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { isAlive, until } from "../system/treewarden.ts";
import { Intruder } from "./intruder.ts";
import { compileExploit, FOLDER, type Scene } from "./scene.ts";

const NGINX = "/usr/sbin/nginx";
/** Requests at a time. */
const CLIENTS = 8;

export class WebServer implements AsyncDisposable {
  readonly intruder: Intruder;
  private readonly scene: Scene;
  private readonly folder: string;
  private readonly port = freePort();
  private readonly preloaded = join(FOLDER, "exploit-in-nginx.so");
  /** Between the signal for it and the end of the nginx before. */
  private isReplaced = false;

  constructor(scene: Scene) {
    this.scene = scene;
    this.folder = scene.accounts.web.folder;
    compileExploit(this.preloaded, this.folder);
    const pages = join(FOLDER, "pages");
    mkdirSync(pages, { mode: 0o755 });
    writeFileSync(join(pages, "index.html"), "<p>a page</p>\n");
    writeFileSync(join(FOLDER, "nginx.conf"), this.settings(pages));
    this.intruder = new Intruder(scene.accounts.web, async () => void (await this.get("/exploit/page")));
  }

  async start(): Promise<void> {
    const { exitCode, stderr } = Bun.spawnSync([...this.scene.as("web"), NGINX, ...this.flags], {
      stdin: "ignore",
      cwd: this.folder,
      env: { PATH: "/usr/bin", LD_PRELOAD: this.preloaded },
    });
    if (exitCode !== 0) throw new Error(`nginx ended with ${exitCode}: ${stderr}`);
    await until("nginx answers", async () => (await this.get("/")) === 200);
  }

  /** Requests, all of which must be answered. */
  async serve(requests: number): Promise<void> {
    let left = requests;
    const client = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const status = await this.get("/");
        if (status !== 200) throw new Error(`a request was answered by ${status}`);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
  }

  /** A replacement that is under way executes nginx and reads the settings as well; it has no pid file for a moment. */
  reload(): void {
    if (!this.isReplaced) this.scene.run("web", [NGINX, ...this.flags, "-s", "reload"]);
  }

  /** As logrotate does it. */
  rotate(): void {
    renameSync(join(this.folder, "access.log"), join(this.folder, "access.log.1"));
    this.scene.run("web", [NGINX, ...this.flags, "-s", "reopen"]);
  }

  /** Has nginx execute its file again and take over, as its package does after an upgrade. */
  async replaceOnTheFly(): Promise<void> {
    const old = this.pid();
    if (old === undefined) throw new Error("nginx does not run");
    this.isReplaced = true;
    try {
      process.kill(old, "SIGUSR2");
      await until("the new nginx runs", () => ![old, undefined].includes(this.pid()), 20_000);
      process.kill(old, "SIGQUIT");
      await until("the old nginx has ended", () => !isAlive(old), 20_000);
    } finally {
      this.isReplaced = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pid = this.pid();
    if (pid === undefined) return;
    process.kill(pid, "SIGTERM");
    await until("nginx has ended", () => !isAlive(pid));
  }

  private get flags(): readonly string[] {
    return ["-c", join(FOLDER, "nginx.conf")];
  }

  private get pidFile(): string {
    return join(this.folder, "nginx.pid");
  }

  /** undefined while there is none: nginx renames the file before the next one makes its own. */
  private pid(): number | undefined {
    try {
      return Number(readFileSync(this.pidFile, "latin1")) || undefined;
    } catch {
      return undefined;
    }
  }

  private async get(path: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      signal: AbortSignal.timeout(20_000),
    }).catch(() => undefined);
    await answer?.text();
    return answer?.status ?? 0;
  }

  private settings(pages: string): string {
    const temporary = ["client_body", "fastcgi", "proxy", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${join(this.folder, name)};`,
    );
    return `pid ${this.pidFile}; error_log ${join(this.folder, "error.log")}; env LD_PRELOAD;
worker_processes 2; events { worker_connections 64; }
http {
  access_log ${join(this.folder, "access.log")}; ${temporary.join(" ")}
  server { listen 127.0.0.1:${this.port}; root ${pages}; }
}
`;
  }
}
