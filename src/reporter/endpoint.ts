// The HTTP endpoint for metrics and health.
import type { Server } from "bun";
import type { Address } from "../linux/socket-address.ts";
import { codeOf } from "../linux/system-error.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { parseIpv4, parseIpv6 } from "../vocabulary/ip-address.ts";
import { BasicAuth } from "./basic-auth.ts";
import type { EndpointSecurity } from "./endpoint-security.ts";
import { contentTypes, type ExpositionFormat } from "./exposition.ts";
import { acceptsGzip, formatFor } from "./negotiation.ts";
import { RefusedUsers } from "./refused-users.ts";

export interface Health {
  readonly alive: boolean;
  readonly reason: string;
  /** Why what is in force is not what was asked for; empty if it is. */
  readonly degraded: readonly string[];
}

export interface EndpointInputs {
  /** Null: anyone who can connect may read. */
  readonly security: EndpointSecurity | null;
  /** The text, or a gzip file with it. */
  readonly metrics: (
    format: ExpositionFormat,
    isCompressed: boolean,
  ) => Promise<string | Uint8Array<ArrayBuffer>>;
  /** Called with the reason when the address cannot be used, and with undefined when it can be used again. */
  readonly onProblem?: (why: string | undefined) => void;
  /** The warden's answer; resolves within a second even if the warden does not answer. */
  readonly health: () => Promise<Health>;
}

/** The most concurrent requests; no scraper sends more. */
const IN_FLIGHT = 64;
/** A connection without a byte for this long is closed, s. */
const IDLE_SECONDS = 10;

/** The waits before a taken address is tried again, ms: doubled up to the longest. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;

export interface Endpoint {
  stop(): void;
}

/**
 * Serves the endpoint. While the address cannot be used, for example because another program has taken the port, it is
 * tried again, and `warn` is called with the reason once; nothing else depends on the endpoint.
 */
export function openEndpoint(
  address: Address,
  inputs: EndpointInputs,
  warn: (message: string) => void,
): Endpoint {
  let server: Server<undefined> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = (waitMs: number): void => {
    const name = `${address.host}:${address.port}`;
    try {
      server = serve(address, inputs, new RefusedUsers(warn));
      if (waitMs === FIRST_RETRY_MS) return;
      warn(`listening on ${name} now`);
      inputs.onProblem?.(undefined);
    } catch (error) {
      if (waitMs === FIRST_RETRY_MS) {
        const why = codeOf(error) === "EADDRINUSE" ? "it is used by another program" : messageOf(error);
        const hint = "treewarden tries again; choose another address by metrics.listen or --listen";
        warn(`the endpoint cannot listen on ${name}: ${why}; ${hint}`);
        inputs.onProblem?.(`the endpoint cannot listen on ${name}: ${why}`);
      }
      timer = setTimeout(() => listen(Math.min(2 * waitMs, LONGEST_RETRY_MS)), waitMs);
    }
  };
  listen(FIRST_RETRY_MS);
  return {
    stop() {
      clearTimeout(timer);
      void server?.stop(true);
    },
  };
}

/** Throws if the address is not available. */
function serve(address: Address, inputs: EndpointInputs, refused: RefusedUsers): Server<undefined> {
  let inFlight = 0;
  const { security } = inputs;
  const auth =
    security !== null && Object.keys(security.users).length > 0
      ? new BasicAuth({ users: security.users })
      : undefined;
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    ...(security?.tls == null ? {} : { tls: tlsOptions(security.tls) }),
    idleTimeout: IDLE_SECONDS,
    // Two servers on one port would answer scrapes in turns.
    reusePort: false,
    // No request has a body.
    maxRequestBodySize: 1024,
    development: false,
    async fetch(request, server) {
      // A page of another name has neither the password nor a certificate for its name.
      const refusal = security === null ? refusalOfHost(request.headers.get("host")) : undefined;
      if (refusal !== undefined) return refusal;
      if (request.method !== "GET" && request.method !== "HEAD") {
        return new Response("the method must be GET or HEAD\n", {
          status: 405,
          headers: { allow: "GET, HEAD" },
        });
      }
      if (inFlight >= IN_FLIGHT) return new Response("too many requests at once\n", { status: 503 });
      inFlight += 1;
      try {
        return (
          (await refusalOfUser(auth, refused, request, server.requestIP(request)?.address)) ??
          (await answer(request, inputs))
        );
      } finally {
        inFlight -= 1;
      }
    },
    error() {
      return new Response("internal error\n", { status: 500 });
    },
  });
}

// openssl/ssl.h
const SSL_OP_NO_TLSv1 = 0x0400_0000;
const SSL_OP_NO_TLSv1_1 = 0x1000_0000;
const SSL_OP_NO_TLSv1_2 = 0x0800_0000;

function tlsOptions({ cert, key, clientAuthorities, onlyTls13 }: NonNullable<EndpointSecurity["tls"]>) {
  return {
    cert,
    key,
    ...(clientAuthorities === null
      ? {}
      : { ca: clientAuthorities, requestCert: true, rejectUnauthorized: true }),
    secureOptions: SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | (onlyTls13 ? SSL_OP_NO_TLSv1_2 : 0),
  };
}

/** `address`: the client's; undefined if it has closed the connection. */
async function refusalOfUser(
  auth: BasicAuth | undefined,
  refused: RefusedUsers,
  request: Request,
  address = "",
): Promise<Response | undefined> {
  const header = request.headers.get("authorization");
  const result = auth === undefined ? "accepted" : await auth.check(header, address);
  if (result === "accepted") return undefined;
  if (header !== null) refused.add(address);
  if (result === "too many")
    return new Response("too many wrong passwords\n", { status: 429, headers: { "retry-after": "1" } });
  const headers = { "www-authenticate": 'Basic realm="treewarden", charset="UTF-8"' };
  const why = header === null ? "a name and a password are needed" : "wrong name or password";
  return new Response(`${why}\n`, { status: 401, headers });
}

const localNames: readonly string[] = ["localhost", "localhost."];

/**
 * Refuses a Host header that is neither an address nor localhost: a web page whose own name was made to resolve to this
 * host (DNS rebinding) could otherwise read the metrics through a visitor's browser. HTTP/1.0 has no such header.
 */
function refusalOfHost(header: string | null): Response | undefined {
  if (header === null) return undefined;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s@?#]+))(?::\d{1,5})?$/.exec(header);
  if (match === null) return new Response("bad Host header\n", { status: 400 });
  const [, six, other = ""] = match;
  const isAddress = six === undefined ? parseIpv4(other) !== undefined : parseIpv6(six) !== undefined;
  if (isAddress || localNames.includes(other.toLowerCase())) return undefined;
  return new Response("only an address or localhost may be the Host\n", { status: 421 });
}

async function answer(request: Request, inputs: EndpointInputs): Promise<Response> {
  // HTTP/1.0 needs no Host header, and then the URL has only a path.
  switch (new URL(request.url, "http://localhost").pathname) {
    case "/":
    case "/metrics": {
      const format = formatFor(request.headers.get("accept"));
      const isCompressed = acceptsGzip(request.headers.get("accept-encoding"));
      const body = await inputs.metrics(format, isCompressed);
      const headers = { "content-type": contentTypes[format], vary: "accept, accept-encoding" };
      return new Response(body, {
        headers: isCompressed ? { ...headers, "content-encoding": "gzip" } : headers,
      });
    }
    case "/healthz": {
      const { alive, reason } = await inputs.health();
      const body = alive ? { status: "ok" } : { status: "unavailable", reason };
      return Response.json(body, { status: alive ? 200 : 503 });
    }
    case "/readyz": {
      const { alive, reason, degraded } = await inputs.health();
      const reasons = alive ? degraded : [reason, ...degraded];
      const body = reasons.length === 0 ? { status: "ok" } : { status: "degraded", reasons };
      return Response.json(body, { status: reasons.length === 0 ? 200 : 503 });
    }
    default:
      return new Response("no such path: try /metrics, /healthz or /readyz\n", { status: 404 });
  }
}
