// The HTTP endpoint for metrics and health.
import type { Server } from "bun";
import type { Address } from "../linux/socket-address.ts";
import { contentTypes, type ExpositionFormat, formatFor } from "./exposition.ts";

export interface Health {
  readonly alive: boolean;
  readonly reason: string;
}

export interface EndpointInputs {
  readonly metrics: (format: ExpositionFormat) => Promise<string>;
  /** The warden's answer; resolves within a second even if the warden does not answer. */
  readonly health: () => Promise<Health>;
}

/** The most concurrent requests; no scraper sends more. */
const IN_FLIGHT = 64;
/** A connection without a byte for this long is closed, s. */
const IDLE_SECONDS = 10;

/** Starts the server. Throws if the address is not available. */
export function serveEndpoint(address: Address, inputs: EndpointInputs): Server<undefined> {
  let inFlight = 0;
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    idleTimeout: IDLE_SECONDS,
    // Two servers on one port would answer scrapes in turns.
    reusePort: false,
    // No request has a body.
    maxRequestBodySize: 1024,
    development: false,
    async fetch(request) {
      if (request.method !== "GET" && request.method !== "HEAD") {
        return new Response("the method must be GET or HEAD\n", {
          status: 405,
          headers: { allow: "GET, HEAD" },
        });
      }
      if (inFlight >= IN_FLIGHT) return new Response("too many requests at once\n", { status: 503 });
      inFlight += 1;
      try {
        return await answer(request, inputs);
      } finally {
        inFlight -= 1;
      }
    },
    error() {
      return new Response("internal error\n", { status: 500 });
    },
  });
}

async function answer(request: Request, inputs: EndpointInputs): Promise<Response> {
  // The URL contains the Host header. Any host is answered; what is not a host throws, and `error` answers 500.
  switch (new URL(request.url).pathname) {
    case "/":
    case "/metrics": {
      const format = formatFor(request.headers.get("accept"));
      return new Response(await inputs.metrics(format), {
        headers: { "content-type": contentTypes[format] },
      });
    }
    case "/healthz": {
      const { alive, reason } = await inputs.health();
      const body = alive ? { status: "ok" } : { status: "unavailable", reason };
      return Response.json(body, { status: alive ? 200 : 503 });
    }
    default:
      return new Response("no such path: try /metrics or /healthz\n", { status: 404 });
  }
}
