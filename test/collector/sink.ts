// A collector for measurements: it takes everything, and costs little.
import { freePort } from "../ports.ts";
import { decodeLogs } from "../reporter/otlp-decode.ts";
import { Alerts } from "./alerts.ts";

/** Remembers only which records it got. */
export class Sink implements AsyncDisposable {
  readonly port = freePort();
  readonly uids = new Set<string>();
  bytes = 0;
  requests = 0;
  duplicates = 0;
  isInOrder = true;
  private newest = "";
  private server: ReturnType<typeof Bun.serve> | undefined;

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  listen(): void {
    this.server = Bun.serve({
      hostname: "127.0.0.1",
      port: this.port,
      maxRequestBodySize: 64 << 20,
      fetch: async (request) => {
        const body = await request.bytes();
        if (request.url.endsWith("/v1/logs")) this.take(body, request.headers);
        // An empty answer is one of OTLP.
        return new Response(null);
      },
    });
  }

  async close(): Promise<void> {
    await this.server?.stop(true);
  }

  private take(body: Uint8Array, headers: Headers): void {
    this.bytes += body.length;
    this.requests += 1;
    if (headers.get("content-type") !== "application/x-protobuf") return;
    const isGzip = headers.get("content-encoding") === "gzip";
    for (const { attributes } of decodeLogs(isGzip ? Bun.gunzipSync(new Uint8Array(body)) : body)) {
      const uid = String(attributes["log.record.uid"]);
      if (this.uids.has(uid)) this.duplicates += 1;
      this.uids.add(uid);
      if (attributes["security_rule.name"] !== Alerts.rule) continue;
      if (uid < this.newest) this.isInOrder = false;
      this.newest = uid;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
