// POST requests to a collector over HTTP or HTTPS. The answer is read whole, within limits of time and size, and its
// body, Retry-After and Location are handed back, which OpenTelemetry's own transport keeps to itself (0.301).
import { Agent as HttpAgent, type IncomingMessage, request as requestOverHttp } from "node:http";
import { Agent as HttpsAgent, request as requestOverHttps } from "node:https";
import { messageOf } from "../vocabulary/errors.ts";

export interface HttpDestination {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The time for the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  /** Contents of files in PEM. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** A complete answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  readonly body: Buffer;
}

/** `error`: why there is no complete answer. */
export type HttpResult = { readonly answer: HttpAnswer } | { readonly error: string };

/** An answer to an export is some bytes; one that is longer than this does not come from a collector. */
const LONGEST_ANSWER = 1 << 20;

/** Sends bodies to one destination, one after the other, over a connection that is kept. */
export class HttpPost {
  private readonly destination: HttpDestination;
  private readonly send: typeof requestOverHttp;
  private readonly agent: HttpAgent;

  constructor(destination: HttpDestination) {
    this.destination = destination;
    const isSecure = new URL(destination.url).protocol === "https:";
    this.send = isSecure ? requestOverHttps : requestOverHttp;
    const options = { keepAlive: true, maxSockets: 1 };
    const { ca, cert, key } = destination.tls;
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    this.agent = isSecure ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
  }

  /** `headers`: those of this body. Never rejects. */
  post(body: Uint8Array, headers: Readonly<Record<string, string>>): Promise<HttpResult> {
    const { url, timeoutMs } = this.destination;
    const { promise, resolve } = Promise.withResolvers<HttpResult>();
    try {
      const request = this.send(url, {
        method: "POST",
        agent: this.agent,
        headers: { ...this.destination.headers, ...headers, "content-length": String(body.length) },
      });
      const timer = setTimeout(() => {
        resolve({ error: `no answer within ${timeoutMs / 1_000} s` });
        request.destroy();
      }, timeoutMs);
      void promise.finally(() => clearTimeout(timer));
      request.on("error", (error) => resolve({ error: reasonOf(error) }));
      request.on("response", (response) => read(response, resolve));
      request.on("close", () => resolve({ error: "the connection was closed without an answer" }));
      request.end(body);
    } catch (error) {
      // A header that HTTP does not allow, say.
      resolve({ error: messageOf(error) });
    }
    return promise;
  }
}

function read(response: IncomingMessage, resolve: (result: HttpResult) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length <= LONGEST_ANSWER) return;
    resolve({ error: `an answer of more than ${LONGEST_ANSWER} bytes` });
    response.destroy();
  });
  response.on("error", (error) => resolve({ error: `an incomplete answer: ${reasonOf(error)}` }));
  response.on("aborted", () => resolve({ error: "an incomplete answer" }));
  response.on("end", () => {
    const { headers, statusCode } = response;
    const announced = Number(headers["content-length"] ?? length);
    if (!response.complete || announced !== length) return resolve({ error: "an incomplete answer" });
    resolve({
      answer: {
        status: statusCode ?? 0,
        contentType: headers["content-type"] ?? "",
        retryAfter: headers["retry-after"],
        location: headers.location,
        body: Buffer.concat(chunks),
      },
    });
  });
}

/** The runtime's message, and its code where the message does not have it: ECONNREFUSED, CERT_HAS_EXPIRED. */
function reasonOf(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const message = messageOf(error) || "the connection failed";
  return code === "" || message.includes(code) ? message : `${message} (${code})`;
}
