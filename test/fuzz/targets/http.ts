// Requests to the HTTP endpoint, from any user of the host: as bytes on a connection of their own.
import { openEndpoint } from "../../../src/reporter/endpoint.ts";
import { freePort } from "../../ports.ts";
import { bytesOf } from "../corpus.ts";
import type { FuzzTarget } from "../target.ts";

const HOST = "127.0.0.1";
/** An incomplete request is waited for; that is not what is tested here. */
const WAIT_MS = 20;
/** An ordinary request after this number of inputs must be answered. */
const CHECK_EVERY = 200;

interface Running {
  readonly port: number;
  readonly stop: () => void;
}

let running: Running | undefined;
let inputs = 0;

function serve(): Running {
  const port = freePort();
  const endpoint = openEndpoint(
    { host: HOST, port },
    {
      security: null,
      metrics: (_format, isCompressed) =>
        Promise.resolve(isCompressed ? Bun.gzipSync("process 1\n") : "process 1\n"),
      health: () => Promise.resolve({ alive: true, reason: "", degraded: [] }),
    },
    (message) => {
      throw new Error(message);
    },
  );
  return { port, stop: () => endpoint.stop() };
}

/** What the endpoint answers to these bytes. */
function exchange(port: number, request: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    const done = (): void => resolve(Buffer.concat(parts));
    Bun.connect({
      hostname: HOST,
      port,
      socket: {
        open(socket) {
          socket.write(request);
          socket.flush();
          setTimeout(() => socket.terminate(), WAIT_MS);
        },
        data(socket, bytes) {
          parts.push(bytesOf(bytes));
          socket.terminate();
        },
        close: done,
        error: done,
      },
    }).catch(reject);
  });
}

export const http: FuzzTarget = {
  name: "http",
  parses: "requests to the HTTP endpoint, from any user",
  weight: 0.2,
  limitMs: 2_000,
  words: [
    "\r\n",
    "\r\n\r\n",
    "Host: ",
    "GET /metrics HTTP/1.1\r\n",
    "Accept: ",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
  ],
  async parse(input) {
    running ??= serve();
    const { port } = running;
    inputs += 1;
    const answer = await exchange(port, bytesOf(input));
    if (answer.length > 0 && !Buffer.from(answer).toString("latin1").startsWith("HTTP/1."))
      throw new Error(`no answer of HTTP: ${Buffer.from(answer).toString("latin1").slice(0, 100)}`);
    if (inputs % CHECK_EVERY === 0) {
      const { status } = await fetch(`http://${HOST}:${port}/healthz`);
      if (status !== 200) throw new Error(`an ordinary request got ${status}`);
    }
    return answer.length;
  },
  end() {
    running?.stop();
    running = undefined;
  },
};
