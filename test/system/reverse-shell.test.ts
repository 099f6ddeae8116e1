// A reverse shell that starts no program: what a service runs already connects out. It is known by its connection, and
// with a rule that denies it, nothing leaves the host. All traffic is on the loopback interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "./live.ts";
import { Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** How the service connects. */
type Way = "/dev/tcp" | "a child" | "Python";

/** The name of the service, which nothing else has: rules are about it alone. */
const SERVICE = "tw-shop-service";

/** The far end of the shell: what arrives there has left the process. */
class Peer implements Disposable {
  connections = 0;
  private readonly server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        this.connections += 1;
        socket.end();
      },
      data: () => undefined,
    },
  });

  get port(): number {
    return this.server.port;
  }

  [Symbol.dispose](): void {
    this.server.stop(true);
  }
}

/** Every TCP packet on the loopback interface from or to a port. */
class Capture implements AsyncDisposable {
  private readonly program: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly lines: AsyncIterator<Uint8Array>;

  private constructor(program: string, port: number) {
    this.program = Bun.spawn([program, String(port)], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.lines = this.program.stdout[Symbol.asyncIterator]();
  }

  static async start(program: string, port: number): Promise<Capture> {
    const capture = new Capture(program, port);
    expect(await capture.line()).toBe("ready");
    return capture;
  }

  /** Ends it; the number of packets. */
  async packets(): Promise<number> {
    this.program.stdin.end();
    return Number(await this.line());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.program.kill();
    await this.program.exited;
  }

  private async line(): Promise<string> {
    const { value } = await this.lines.next();
    return new TextDecoder().decode(value).trim();
  }
}

describe.skipIf(reason !== undefined)("a reverse shell that starts no program, below a service", () => {
  let folder: string;
  let service: string;
  let inPython: string;
  let capture: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "tw-shell-"));
    service = join(folder, SERVICE);
    copyFileSync("/bin/bash", service);
    mkdirSync(join(folder, "python"));
    inPython = join(folder, "python", SERVICE);
    writeFileSync(
      inPython,
      `#!/usr/bin/python3
import socket, sys, time
time.sleep(0.3)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    print("connected")
except OSError as error:
    print(error)
`,
    );
    chmodSync(inPython, 0o755);
    capture = compile(folder, "packets");
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A host with one rule, on connections of the service to `port`. */
  async function start(action: string, port: number, flags: readonly string[] = []): Promise<Running> {
    const policies = join(folder, action);
    mkdirSync(policies, { recursive: true });
    const policy = join(policies, "shop.json");
    const when = { and: [{ under: [SERVICE] }, { "==": [{ var: "network.peer.port" }, port] }] };
    const rules = [{ id: "outbound", on: ["connect"], when, action }];
    writeFileSync(policy, JSON.stringify({ role: "shop", rules }));
    const config = join(policies, "config.yaml");
    const armed = action === "deny" ? "enforcement: kill\narmed: [shop/outbound]\n" : "";
    writeFileSync(config, `network: { connect: { loopback: true } }\n${armed}`);
    return await Running.start(["--config", config, "--policy", policy, ...flags]);
  }

  /** The service connects, by bash's /dev/tcp, a program that it runs, or Python; what it prints. */
  function connects(port: number, by: Way, delay = 0.3): string {
    if (by === "Python") return Bun.spawnSync([inPython, String(port)]).stdout.toString();
    const code = `exec 3<>/dev/tcp/127.0.0.1/${port} && echo connected`;
    const script = by === "/dev/tcp" ? code : `bash -c '${code}'; true`;
    const { stdout, stderr } = Bun.spawnSync([service, "-c", `sleep ${delay}; ${script}`]);
    return stdout.toString() + stderr.toString();
  }

  const isVerdict = (record: Readonly<Record<string, unknown>>): boolean =>
    record["event.name"] === "policy.verdict" && record["event.kind"] === "connect";

  test.each(["/dev/tcp", "Python"] as const)(
    "is reported by its connection, with the tree: %s",
    async (by) => {
      using peer = new Peer();
      await using running = await start("alert", peer.port);
      await using packets = await Capture.start(capture, peer.port);
      expect(connects(peer.port, by)).toContain("connected");
      expect(await packets.packets()).toBeGreaterThan(0);
      const verdict = await running.seen(isVerdict);
      expect(verdict).toMatchObject({
        "policy.outcome": "alerted",
        "security_rule.name": "outbound",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": peer.port,
      });
      expect(verdict["tree.exact"]).toContain(`/${SERVICE}`);
      const end = await running.seen((record) => record["event.name"] === "network.close");
      expect(end["network.socket"]).toBe(verdict["network.socket"]);
    },
    30_000,
  );

  for (const by of ["/dev/tcp", "a child", "Python"] as const)
    test(`is refused before anything is sent, if the service connects by ${by}`, async () => {
      using peer = new Peer();
      await using running = await start("deny", peer.port);
      await using packets = await Capture.start(capture, peer.port);
      for (let i = 0; i < 3; i += 1) expect(connects(peer.port, by)).toContain("Operation not permitted");
      const verdict = await running.seen(isVerdict);
      expect(verdict).toMatchObject({
        "policy.action": "deny",
        "policy.outcome": "denied",
        "network.denied": true,
      });
      expect(peer.connections).toBe(0);
      expect(await packets.packets()).toBe(0);
      const counted = async () =>
        (await running.metrics()).sum("treewarden_connections_total", { outcome: "denied" });
      const end = performance.now() + 5_000;
      while ((await counted()) < 3 && performance.now() < end) await Bun.sleep(50);
      expect(await counted()).toBe(3);
    }, 30_000);

  test("is refused 30 ms after the service began, each time, as its exec wakes the warden", async () => {
    using peer = new Peer();
    await using running = await start("deny", peer.port);
    // One that has just started judges for the first time, which takes longer.
    expect(connects(peer.port, "/dev/tcp", 0.5)).toContain("Operation not permitted");
    // The warden reads in batches, so each service begins at another moment of one.
    for (let i = 0; i < 8; i += 1) {
      await Bun.sleep(37 * i);
      expect(connects(peer.port, "/dev/tcp", 0.03)).toContain("Operation not permitted");
    }
    expect(await running.seen(isVerdict)).toMatchObject({ "policy.outcome": "denied" });
    expect(peer.connections).toBe(0);
  }, 30_000);

  test("is refused from the first call on in a program that the service runs, and that connects at once", async () => {
    using peer = new Peer();
    await using running = await start("deny", peer.port);
    const connect = `exec 3<>/dev/tcp/127.0.0.1/${peer.port} && echo connected`;
    const children = `for i in 1 2 3 4 5 6 7 8; do bash -c '${connect}'; done; true`;
    const { stdout, stderr } = Bun.spawnSync([service, "-c", `sleep 0.1; ${children}`]);
    expect(stdout.toString()).toBe("");
    expect(stderr.toString().match(/connect: Operation not permitted/g)).toHaveLength(8);
    expect(await running.seen(isVerdict)).toMatchObject({ "policy.outcome": "denied" });
    expect(peer.connections).toBe(0);
  }, 30_000);
});
