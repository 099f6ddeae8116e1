// Destinations of a tree from end to end: learned by the warden, accepted by root, told apart from new ones. All traffic is
// on the loopback interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { binary, type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("learning destinations", () => {
  const folder = newFolder();
  const config = join(folder, "config.yaml");
  const usual = freePort();
  const unusual = freePort();
  const servers = [usual, unusual].map((port) =>
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }),
  );
  let running: Running;

  beforeAll(async () => {
    const network = "watch: [connect], learn_destinations: true, connect: { loopback: true }";
    writeFileSync(config, `policies: [base]\nnetwork: { ${network} }\n`);
    running = await Running.start(["--config", config, "--source", "ebpf", "--learn"]);
  });

  afterAll(async () => {
    for (const server of servers) server.stop(true);
    await running[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The record of a connection that a new process makes. */
  async function connected(port: number): Promise<JsonRecord> {
    const code = `const s = await Bun.connect({ hostname: "127.0.0.1", port: ${port}, socket: { data() {} } }); s.end();`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "ignore", stderr: "ignore" });
    await child.exited;
    return await running.seen(
      (record) => record["event.name"] === "network.connect" && record["process.pid"] === child.pid,
    );
  }

  function baseline(...args: readonly string[]): { readonly exitCode: number; readonly text: string } {
    const state = join(running.folder, "state");
    const run = Bun.spawnSync([binary, "baseline", ...args, "--state-dir", state]);
    return { exitCode: run.exitCode, text: run.stdout.toString() + run.stderr.toString() };
  }

  test("what was learned and accepted is known, and anything else is not", async () => {
    expect((await connected(usual))["destination.known"]).toBeNull();
    expect(baseline("learn", "--stop")).toMatchObject({ exitCode: 0 });
    await running.seen((record) => record["event.name"] === "baseline.stopped");
    expect(baseline("accept", "--yes")).toMatchObject({ exitCode: 0 });
    await running.seen((record) => record["event.name"] === "baseline.loaded");
    expect(baseline("export").text).toContain(`outbound:tcp:127.0.0.1/32:${usual}`);
    expect((await connected(usual))["destination.known"]).toBeTrue();
    expect((await connected(unusual))["destination.known"]).toBeFalse();
  }, 30_000);

  test("what is not known is proposed", async () => {
    await connected(unusual);
    const found = `outbound:tcp:127.0.0.1/32:${unusual}`;
    for (let i = 0; i < 50 && !baseline("compare").text.includes(found); i += 1) await Bun.sleep(200);
    expect(baseline("compare").text).toContain(found);
  }, 30_000);
});
