// The HTTP endpoint: metrics to scrape, and whether treewarden lives.
import type { Server } from "bun";
import type { Address } from "../config/config.ts";
import { contentTypes, type Format, formatFor } from "./exposition.ts";

export interface Health {
  readonly alive: boolean;
  readonly reason: string;
}

export interface EndpointInputs {
  readonly metrics: (format: Format) => Promise<string>;
  /** Asks the warden; resolves within a second whatever it does. */
  readonly health: () => Promise<Health>;
}

/** Seconds without a byte after which a connection is closed. */
const IDLE_SECONDS = 10;

/** Listens. Throws if the address cannot be had. */
export function serveEndpoint(address: Address, inputs: EndpointInputs): Server<undefined> {
  return Bun.serve({
    hostname: address.host,
    port: address.port,
    idleTimeout: IDLE_SECONDS,
    // Nothing here takes a body.
    maxRequestBodySize: 1024,
    development: false,
    async fetch(request) {
      if (request.method !== "GET" && request.method !== "HEAD") {
        return new Response("only GET\n", { status: 405, headers: { allow: "GET, HEAD" } });
      }
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
          return new Response("not here: /metrics and /healthz are\n", { status: 404 });
      }
    },
    error() {
      return new Response("failed\n", { status: 500 });
    },
  });
}
