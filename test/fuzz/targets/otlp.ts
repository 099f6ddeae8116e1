// Answers of a collector, or of an attacker in its place, as bytes on the exporter's connection.
import { type OtlpExporters, otlpExporters } from "../../../src/reporter/otlp-exporters.ts";
import { bytesOf } from "../corpus.ts";
import type { FuzzTarget } from "../target.ts";

const HOST = "127.0.0.1";
const TIMEOUT_MS = 60;

interface Running {
  readonly exporters: OtlpExporters;
  readonly stop: () => void;
}

let running: Running | undefined;
let answer = bytesOf(new Uint8Array(0));

function start(): Running {
  const collector = Bun.listen({
    hostname: HOST,
    port: 0,
    socket: {
      data(socket) {
        socket.write(answer);
        socket.end();
      },
      error: () => undefined,
    },
  });
  const settings = {
    logs: {
      protocol: "http/protobuf",
      url: `http://${HOST}:${collector.port}/v1/logs`,
      headers: {},
      compression: "none",
      timeoutMs: TIMEOUT_MS,
      tls: { files: {} },
      gatherMs: 0,
      batchSize: 1,
      limits: { count: 128, length: null },
    },
    metrics: null,
    resource: {},
  } as const;
  const host = { hostId: undefined, hostName: "host", stateDirectory: "/var/lib/treewarden" };
  const inForce = () => ({ roles: [], policyDigests: [], baselineDigests: [] });
  return {
    exporters: otlpExporters(settings, { host, startedMs: Date.now(), inForce }),
    stop: () => collector.stop(true),
  };
}

const record = { timestamp: "2026-01-31T12:00:00.000000Z", "event.name": "policy.verdict" };

export const otlp: FuzzTarget = {
  name: "otlp",
  parses: "answers to an export over OTLP",
  weight: 0.04,
  limitMs: 3_000,
  words: [
    "\r\n",
    "\r\n\r\n",
    "HTTP/1.1 429 x\r\n",
    "Retry-After: 1\r\n",
    "Content-Length: ",
    "Content-Encoding: gzip\r\n",
  ],
  async parse(input) {
    running ??= start();
    answer = bytesOf(input);
    const delivery = await running.exporters.exportLogs([record]);
    return "why" in delivery ? delivery.why.length : 0;
  },
  end() {
    running?.stop();
    running = undefined;
  },
};
