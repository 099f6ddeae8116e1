// A collector for measurements: it takes everything, and costs little.
import { freePort } from "../ports.ts";
import { Alerts } from "./alerts.ts";

// To decode whole records would take twice the time that the reporter takes to make them. The two attributes as they are
// encoded: the key, and a value (field 2) with a text (field 1), each behind its length.
const UID_LENGTH = 26;
const uidBytes = attribute("log.record.uid", UID_LENGTH);
const ruleBytes = Buffer.concat([
  attribute("security_rule.name", Alerts.rule.length),
  Buffer.from(Alerts.rule),
]);

function attribute(name: string, length: number): Buffer {
  return Buffer.concat([Buffer.from(name), Uint8Array.of(0x12, length + 2, 0x0a, length)]);
}

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
    const bytes = Buffer.from(isGzip ? Bun.gunzipSync(new Uint8Array(body)) : body);
    for (let at = bytes.indexOf(uidBytes); at >= 0; ) {
      const start = at + uidBytes.length;
      const next = bytes.indexOf(uidBytes, start);
      this.add(
        bytes.toString("latin1", start, start + UID_LENGTH),
        bytes.subarray(start, next < 0 ? undefined : next).includes(ruleBytes),
      );
      at = next;
    }
  }

  private add(uid: string, isAlert: boolean): void {
    if (this.uids.has(uid)) this.duplicates += 1;
    this.uids.add(uid);
    if (!isAlert) return;
    if (uid < this.newest) this.isInOrder = false;
    this.newest = uid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
