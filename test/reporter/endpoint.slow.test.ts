// The endpoint as a scraper meets it: formats, compression, TLS and passwords.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { type Endpoint, openEndpoint } from "../../src/reporter/endpoint.ts";
import type { EndpointSecurity } from "../../src/reporter/endpoint-security.ts";
import { freePort } from "../ports.ts";
import { Authority, textOf } from "./certificates.ts";

const TEXT = "# TYPE process gauge\n".repeat(1_000);
/** `htpasswd -nbBC 4 scraper opensesame` */
const users = { scraper: "$2y$04$dfbflc0Eu2Tbi0.w7ad4sO11brSh1UT9EGrnn2ORqnsYA3Uxec7.W" };

interface Answer {
  readonly exitCode: number;
  readonly status: number;
  readonly body: string;
}

/** An endpoint on a port of its own, asked by curl(1). */
class Served implements AsyncDisposable {
  /** What the reporter would log. */
  readonly warnings: string[] = [];
  private readonly port = freePort();
  private readonly endpoint: Endpoint;
  private readonly scheme: string;

  constructor(security: EndpointSecurity | null) {
    this.scheme = security?.tls == null ? "http" : "https";
    this.endpoint = openEndpoint(
      { host: "127.0.0.1", port: this.port },
      {
        security,
        metrics: async (_format, isCompressed) => (isCompressed ? Bun.gzipSync(TEXT) : TEXT),
        health: async () => ({ alive: true, reason: "", degraded: [] }),
      },
      (message) => this.warnings.push(message),
    );
  }

  async get(path: string, ...flags: readonly string[]): Promise<Answer> {
    const url = `${this.scheme}://127.0.0.1:${this.port}${path}`;
    const args = ["curl", "-s", "-m", "5", "-w", "\n%{http_code}", ...flags, url];
    const curl = Bun.spawn(args, { stdout: "pipe", stderr: "ignore" });
    const output = await new Response(curl.stdout).text();
    const end = output.lastIndexOf("\n");
    return {
      exitCode: await curl.exited,
      status: Number(output.slice(end + 1)),
      body: output.slice(0, end),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endpoint.stop();
  }
}

test("metrics are compressed for those who accept it, and the same text", async () => {
  await using served = new Served(null);
  expect((await served.get("/metrics")).body).toBe(TEXT);
  const compressed = await served.get("/metrics", "--compressed", "-D", "/dev/stderr");
  expect(compressed.body).toBe(TEXT);
  const headers = await served.get("/metrics", "-H", "accept-encoding: gzip", "-I");
  expect(headers.body.toLowerCase()).toContain("content-encoding: gzip");
  expect(headers.body.toLowerCase()).toContain("vary: accept, accept-encoding");
});

test("with users, nothing is shown without the right password, on no path", async () => {
  await using served = new Served({ tls: null, users });
  for (const path of ["/metrics", "/", "/healthz", "/readyz", "/none"]) {
    const answer = await served.get(path);
    expect([path, answer.status, answer.body]).toEqual([path, 401, "a name and a password are needed\n"]);
    expect((await served.get(path, "-u", "scraper:wrong")).status).toBeOneOf([401, 429]);
  }
  expect((await served.get("/metrics", "-u", "scraper:opensesame")).body).toBe(TEXT);
  // A scraper by name: what the Host header protects is protected by the password.
  expect(
    (await served.get("/metrics", "-u", "scraper:opensesame", "-H", "Host: web1.example.org")).status,
  ).toBe(200);
});

test("a wrong password is called that, and logged with the client's address once a minute at most", async () => {
  await using served = new Served({ tls: null, users });
  const bodies: string[] = [];
  for (let i = 0; i < 3; i += 1) bodies.push((await served.get("/metrics", "-u", "scraper:wrong")).body);
  expect(bodies[0]).toBe("wrong name or password\n");
  await served.get("/metrics");
  expect(served.warnings).toEqual(["the endpoint refused a request from 127.0.0.1: wrong name or password"]);
});

test("a flood of wrong passwords from one address does not keep out another", async () => {
  await using served = new Served({ tls: null, users });
  const guesses = Array.from({ length: 20 }, (_, i) => served.get("/metrics", "-u", `scraper:guess ${i}`));
  expect((await Promise.all(guesses)).map(({ status }) => status)).toContain(429);
  const other = ["--interface", "127.0.0.2"];
  expect((await served.get("/metrics", "-u", "scraper:opensesame", ...other)).status).toBe(200);
});

describe("TLS", () => {
  let authority: Authority;
  let other: Authority;
  let tls: NonNullable<EndpointSecurity["tls"]>;

  beforeAll(() => {
    authority = new Authority();
    other = new Authority("another authority");
    const server = authority.issue("server");
    tls = {
      cert: textOf(server.certificate),
      key: textOf(server.key),
      clientAuthorities: null,
      onlyTls13: false,
    };
  });
  afterAll(() => {
    for (const { folder } of [authority, other]) rmSync(folder, { recursive: true });
  });

  const withCertificate = ({ certificate, key }: { readonly certificate: string; readonly key: string }) => [
    "--cert",
    certificate,
    "--key",
    key,
  ];

  test("shows the certificate, and speaks TLS 1.2 and 1.3", async () => {
    await using served = new Served({ tls, users: {} });
    for (const version of ["1.2", "1.3"]) {
      const answer = await served.get("/metrics", "--cacert", authority.certificate, "--tls-max", version);
      expect([version, answer.status, answer.body]).toEqual([version, 200, TEXT]);
    }
    expect((await served.get("/metrics", "--cacert", other.certificate)).exitCode).toBe(60);
    expect(
      (await served.get("/metrics", "--cacert", authority.certificate, "--tls-max", "1.1")).exitCode,
    ).toBe(35);
  });

  test("only TLS 1.3, if the file says so", async () => {
    await using served = new Served({ tls: { ...tls, onlyTls13: true }, users: {} });
    const cacert = ["--cacert", authority.certificate];
    expect((await served.get("/metrics", ...cacert)).status).toBe(200);
    expect((await served.get("/metrics", ...cacert, "--tls-max", "1.2")).exitCode).toBe(35);
  });

  test("lets in only clients with a certificate of the named authority, if the file says so", async () => {
    const clientAuthorities = textOf(authority.certificate);
    await using served = new Served({ tls: { ...tls, clientAuthorities }, users });
    const cacert = ["--cacert", authority.certificate];
    const client = withCertificate(authority.issue("client"));
    expect((await served.get("/metrics", ...cacert)).status).toBe(0);
    expect(
      (await served.get("/metrics", ...cacert, ...withCertificate(other.issue("stranger")))).status,
    ).toBe(0);
    expect((await served.get("/metrics", ...cacert, ...client)).status).toBe(401);
    const accepted = await served.get("/metrics", ...cacert, ...client, "-u", "scraper:opensesame");
    expect(accepted.body).toBe(TEXT);
  });
});
