// The way from treewarden to a Collector, which a test can break: it forwards every request over HTTP, or does to it
// what the fault in force says. It speaks TLS, so that certificates can be wrong too.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { freePort } from "../ports.ts";
import { decodeLogs } from "../reporter/otlp-decode.ts";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** What happens to one request. */
interface Exchange {
  readonly body: Uint8Array;
  /** Of the log records in it. */
  readonly uids: readonly string[];
  readonly response: ServerResponse;
  /** Passes the request on; the answer of the Collector. */
  readonly forward: () => Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

/** Returns the uids that it claims to have rejected for good. */
type Fault = (exchange: Exchange) => Promise<readonly string[]>;

const refusal =
  (status: number, headers: Readonly<Record<string, string>> = {}, text = ""): Fault =>
  async ({ response }) => {
    response.writeHead(status, headers).end(text);
    return [];
  };

const page = { "content-type": "text/html" };
const partialOf = (rejected: number): string =>
  JSON.stringify({ partialSuccess: { rejectedLogRecords: String(rejected), errorMessage: "too old" } });

/** Faults of an answer, by name. */
export const faults = {
  "400 for everything": refusal(400, { "content-type": "text/plain" }, "bad request"),
  "413 for everything": refusal(413),
  "413 for more than 10 records": async (exchange) => {
    if (exchange.uids.length <= 10) return await healthy(exchange);
    return await refusal(413)(exchange);
  },
  "429 with Retry-After": refusal(429, { "retry-after": "1" }),
  "401": refusal(401),
  "404": refusal(404),
  "500": refusal(500),
  "503 with a date": refusal(503, { "retry-after": new Date(0).toUTCString() }),
  "a redirect": refusal(307, { location: "https://127.0.0.1:1/v1/logs" }),
  "a login page": refusal(200, page, "<html>log in</html>"),
  garbage: refusal(200, { "content-type": "application/x-protobuf" }, "\xff\xfe\x07garbage"),
  "no answer": async () => [],
  slowness: async (exchange) => {
    await Bun.sleep(700);
    return await healthy(exchange);
  },
  "a reset before the Collector has it": async ({ response }) => {
    response.socket?.destroy();
    return [];
  },
  "a reset after the Collector has it": async ({ response, forward }) => {
    await forward();
    response.socket?.destroy();
    return [];
  },
  "half an answer": async ({ response, forward }) => {
    await forward();
    response.socket?.end("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}");
    return [];
  },
  "a partial success": async ({ response, uids }) => {
    response.writeHead(200, { "content-type": "application/json" }).end(partialOf(uids.length));
    return uids;
  },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;

export const faultNames = Object.keys(faults).filter((name): name is FaultName => name in faults);

const healthy: Fault = async ({ response, forward }) => {
  const answer = await forward();
  response.writeHead(answer.status, { "content-type": answer.type }).end(answer.body);
  return [];
};

export class Hop implements AsyncDisposable {
  readonly port = freePort();
  /** Undefined: requests are forwarded. */
  fault: FaultName | undefined;
  /** Requests with logs that a fault was done to, since it was set. */
  hits = 0;
  requests = 0;
  /** Uids of records that were rejected for good. */
  readonly rejected = new Set<string>();
  private readonly target: string;
  private server: Server | undefined;

  /** `target`: the endpoint of the Collector. */
  constructor(target: string) {
    this.target = target;
  }

  get endpoint(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  break(fault: FaultName | undefined): void {
    this.fault = fault;
    this.hits = 0;
  }

  /** Listens with this certificate, instead of another one if need be. */
  async open(certificate: Certificate): Promise<void> {
    await this.close();
    const server = createServer({ ...certificate }, (request, response) => {
      void this.handle(request, response).catch(() => response.socket?.destroy());
    });
    server.on("tlsClientError", () => {
      this.hits += 1;
    });
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
  }

  /** As if there were nothing at its port. */
  async close(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await Promise.race([closed, Bun.sleep(1_000)]);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const raw = Buffer.concat(chunks);
    const isGzip = request.headers["content-encoding"] === "gzip";
    const body = isGzip ? Bun.gunzipSync(new Uint8Array(raw)) : raw;
    const path = request.url ?? "/";
    const isLogs = path.endsWith("/v1/logs");
    this.requests += 1;
    const exchange: Exchange = {
      body,
      uids: isLogs ? decodeLogs(body).map(({ attributes }) => String(attributes["log.record.uid"])) : [],
      response,
      forward: () => this.forward(path, request.headers["content-type"] ?? "", body),
    };
    const { fault } = this;
    // Metrics are sent again and again anyway.
    const act = fault === undefined || !isLogs ? healthy : faults[fault];
    if (fault !== undefined && isLogs) this.hits += 1;
    for (const uid of await act(exchange)) this.rejected.add(uid);
  }

  private async forward(path: string, type: string, body: Uint8Array): Promise<Answer> {
    const answer = await fetch(this.target + path, {
      method: "POST",
      headers: { "content-type": type },
      body: new Uint8Array(body),
    });
    return {
      status: answer.status,
      type: answer.headers.get("content-type") ?? "",
      body: await answer.bytes(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
