// `status` on what the reporter cannot do: an export that fails, a port that is taken, a setting that waits for a restart.
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("status", () => {
  test("shows what the reporter states, and what a reload has left for the next start", async () => {
    const folder = newFolder();
    const config = join(folder, "config.yaml");
    const [port, nobody, other] = [freePort(), freePort(), freePort()];
    const configure = (collector: number): void =>
      writeFileSync(config, `otlp: { endpoint: "http://127.0.0.1:${collector}" }\n`);
    configure(nobody);
    const squatter = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    const flags = ["--config", config, "--listen", `127.0.0.1:${port}`];
    await using running = await Running.start(flags, {}, folder);
    const command = (...words: readonly string[]) => {
      const flagsOfAll = ["--config", config, "--state-dir", join(folder, "state")];
      const { stdout, stderr, exitCode } = Bun.spawnSync([binary, ...words, ...flagsOfAll]);
      return { exitCode, text: stdout.toString() + stderr.toString() };
    };
    const status = () => command("status");

    const taken = `the endpoint cannot listen on 127.0.0.1:${port}: it is used by another program`;
    const failing = `cannot export logs over OTLP: 127.0.0.1:${nobody}/v1/logs`;
    await until("both are stated", () => status().text.includes(taken) && status().text.includes(failing));
    expect(status().exitCode).toBe(1);
    const json = command("status", "--output", "json").text.split("\n")[0] ?? "";
    expect(JSON.parse(json)).toMatchObject({
      "status.degraded": [expect.stringContaining(`the reporter states, since`)],
      "status.reporter": expect.arrayContaining([taken, expect.stringContaining(failing)]),
    });

    squatter.stop(true);
    const isListening = async (): Promise<boolean> =>
      await fetch(`http://127.0.0.1:${port}/healthz`).then(
        ({ status }) => status === 200,
        () => false,
      );
    await until("it listens", isListening, 20_000);
    // An export that fails is no degradation of this host.
    expect(status()).toMatchObject({ exitCode: 0, text: expect.stringContaining(failing) });
    expect(status().text).not.toContain(taken);

    configure(other);
    // Also where a further reload changes nothing else.
    for (const _ of [1, 2])
      expect(command("reload")).toMatchObject({
        exitCode: 0,
        text: expect.stringContaining("otlp is in force from the next start on"),
      });
    expect(status().text).toContain("otlp was changed and waits for a restart");
    expect(await running.stop()).toBe(0);
  }, 60_000);
});
