// A real Prometheus on loopback for a test: its own folder and port, ended with the test.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";

/** A sample of the answer to an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** Time in s since the epoch, and the value as text. */
  readonly value: readonly [number, string];
}

export class Prometheus implements AsyncDisposable {
  private readonly port = freePort();
  private readonly process: Bun.Subprocess<"ignore", "ignore", "pipe">;

  /** `folder`: where it keeps its data, and from which `config` (as YAML or JSON) may name files. */
  constructor(folder: string, config: string) {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "prometheus.yml");
    writeFileSync(file, config);
    const flags = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${this.port}`,
      "--log.level=error",
    ];
    this.process = Bun.spawn(["prometheus", ...flags], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  }

  /** The answer of its API; throws if it is an error. */
  async api(path: string): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/${path}`);
    const body: unknown = await answer.json();
    if (typeof body === "object" && body !== null && "data" in body) return body.data;
    throw new Error(`${path}: ${JSON.stringify(body)}`);
  }

  async query(expression: string): Promise<readonly Sample[]> {
    const data = await this.api(`query?query=${encodeURIComponent(expression)}`);
    if (typeof data === "object" && data !== null && "result" in data && Array.isArray(data.result))
      return data.result;
    throw new Error(`${expression}: no result`);
  }

  /** Waits until the query has a result; throws after `ms`. */
  async until(expression: string, ms: number): Promise<readonly Sample[]> {
    const end = performance.now() + ms;
    for (;;) {
      const samples = await this.query(expression).catch(() => []);
      if (samples.length > 0) return samples;
      if (performance.now() > end) throw new Error(`${expression} has no result after ${ms} ms`);
      await Bun.sleep(200);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await Promise.race([this.process.exited, Bun.sleep(5_000)]);
    this.process.kill("SIGKILL");
  }
}
