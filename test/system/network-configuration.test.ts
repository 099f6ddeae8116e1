// The section `network` of the configuration, as a user meets it: what is watched and left out, also after a reload, names of
// peers, and snapshots of what listens. pidtree-bcc's own end-to-end cases are among them. All traffic is on the loopback
// interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { binary, type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const ignored = { data() {} };

describe.skipIf(reason !== undefined)("the section network", () => {
  let folder: string;
  let config: string;
  let running: Running;
  let ports: { readonly kept: number; readonly left: number; readonly six: number; readonly apart: number };
  const ends: (() => void)[] = [];

  function configured(network: string): void {
    writeFileSync(config, `policies: [base]\nnetwork:\n${network.replace(/^/gm, "  ")}\n`);
  }

  beforeAll(async () => {
    folder = newFolder();
    config = join(folder, "config.yaml");
    ports = { kept: freePort(), left: freePort(), six: freePort(), apart: freePort() };
    writeFileSync(join(folder, "hosts"), "127.0.0.1 shop-db.example.org shop-db # the database\n");
    const { kept, left, six, apart } = ports;
    for (const [hostname, port] of [
      ["127.0.0.1", kept],
      ["127.0.0.1", left],
      ["::1", six],
    ] as const) {
      const server = Bun.listen({ hostname, port, socket: ignored });
      ends.push(() => server.stop(true));
    }
    const listen = `Bun.listen({ hostname: "0.0.0.0", port: ${apart}, socket: { data() {} } }); console.log("up")`;
    const child = Bun.spawn(["unshare", "--net", process.execPath, "-e", listen], { stdout: "pipe" });
    ends.push(() => child.kill("SIGKILL"));
    await child.stdout.getReader().read();
    configured(
      [
        "watch: [connect, send, listen]",
        `host_files: [${join(folder, "hosts")}]`,
        `connect: { ignore_networks: [{ networks: [127.0.0.0/8], except_ports: [${kept}] }] }`,
        "send: { loopback: true }",
        "listen: { loopback: true }",
      ].join("\n"),
    );
    running = await Running.start(["--config", config, "--source", "ebpf"]);
  });

  afterAll(async () => {
    for (const end of ends) end();
    await running[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function reload(): number {
    const state = join(running.folder, "state");
    return Bun.spawnSync([binary, "reload", "--config", config, "--state-dir", state]).exitCode;
  }

  const isOf = (name: string, port: number) => (record: JsonRecord) =>
    record["event.name"] === name && (record["network.peer.port"] ?? record["network.local.port"]) === port;

  async function connect(hostname: string, port: number): Promise<void> {
    (await Bun.connect({ hostname, port, socket: ignored })).end();
  }

  async function sendTo(port: number): Promise<void> {
    const socket = await Bun.udpSocket({});
    socket.send("x", port, "127.0.0.1");
    socket.close();
  }

  test("what listens already is found with its process, also by IPv6 and in another network namespace", async () => {
    for (const port of [ports.kept, ports.left, ports.six]) {
      const record = await running.seen(isOf("network.listen", port));
      expect(record["process.pid"]).toBe(process.pid);
      expect(record["tree.path"]).toBeString();
    }
    const apart = await running.seen(isOf("network.listen", ports.apart));
    expect(apart["process.pid"]).not.toBe(process.pid);
    expect(apart["network.local.address"]).toBe("0.0.0.0");
  });

  test("a network is left out except for some ports, and a peer has its name", async () => {
    await connect("127.0.0.1", ports.left);
    await connect("127.0.0.1", ports.kept);
    const record = await running.seen(isOf("network.connect", ports.kept));
    expect(record["destination.name"]).toBe("shop-db.example.org");
    expect(record["process.pid"]).toBe(process.pid);
    expect(running.records.some(isOf("network.connect", ports.left))).toBeFalse();
  });

  test("another configuration is in force after a reload, without a restart", async () => {
    await sendTo(ports.left);
    await running.seen(isOf("network.send", ports.left));
    configured(
      [
        "watch: [connect, send]",
        `connect: { loopback: true, ignore_ports: [${ports.kept}] }`,
        `send: { loopback: true, only_ports: [${ports.kept}-${ports.kept}] }`,
      ].join("\n"),
    );
    expect(reload()).toBe(0);
    running.records.length = 0;
    await connect("127.0.0.1", ports.kept);
    await sendTo(ports.left);
    await connect("127.0.0.1", ports.left);
    await sendTo(ports.kept);
    const record = await running.seen(isOf("network.connect", ports.left));
    expect(record["destination.name"]).toBeNull();
    await running.seen(isOf("network.send", ports.kept));
    expect(running.records.some(isOf("network.connect", ports.kept))).toBeFalse();
    expect(running.records.some(isOf("network.send", ports.left))).toBeFalse();
  });

  test("a configuration with an error changes nothing, and nothing is watched once it is off", async () => {
    configured("watch: [conect]");
    expect(reload()).toBe(2);
    running.records.length = 0;
    await connect("127.0.0.1", ports.left);
    await running.seen(isOf("network.connect", ports.left));
    configured("watch: off");
    expect(reload()).toBe(0);
    const seen = async () => (await running.metrics()).sum("treewarden_events_total", { event: "connect" });
    const before = await seen();
    await connect("127.0.0.1", ports.left);
    await Bun.sleep(300);
    expect(await seen()).toBe(before);
  });
});
