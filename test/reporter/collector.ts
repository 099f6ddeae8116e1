// A collector on loopback for tests: it answers as the test says, and keeps what it accepted.
import { decodeLogs, decodeMetrics, type Log, type Point } from "./otlp-decode.ts";

type Behaviour = (path: string, body: Uint8Array) => Response | Promise<Response>;

export class Collector implements AsyncDisposable {
  readonly logs: Log[] = [];
  readonly points: Point[] = [];
  readonly headers: Headers[] = [];
  requests = 0;
  behave: Behaviour | undefined;
  private server: ReturnType<typeof Bun.serve>;

  constructor(port = 0) {
    this.server = this.listen(port);
  }

  private listen(port: number): ReturnType<typeof Bun.serve> {
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      fetch: async (request) => {
        this.requests += 1;
        this.headers.push(request.headers);
        const raw = new Uint8Array(await request.arrayBuffer());
        const body = request.headers.get("content-encoding") === "gzip" ? Bun.gunzipSync(raw) : raw;
        const path = new URL(request.url).pathname;
        const response = (await this.behave?.(path, body)) ?? new Response(new Uint8Array(0));
        if (response.status === 200) {
          if (path.endsWith("/v1/logs")) this.logs.push(...decodeLogs(body));
          else this.points.push(...decodeMetrics(body));
        }
        return response;
      },
    });
  }

  get port(): number {
    return this.server.port ?? 0;
  }

  get uids(): string[] {
    return this.logs.map((log) => String(log.attributes["log.record.uid"]));
  }

  async down(): Promise<void> {
    await this.server.stop(true);
  }

  up(port: number): void {
    this.server = this.listen(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop(true);
  }
}
