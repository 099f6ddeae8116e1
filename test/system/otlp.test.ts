// The compiled binary exports to a real OpenTelemetry Collector with TLS, and what happens to settings that cannot be used.
import { describe, expect, test } from "bun:test";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missingOtelcol, Otelcol, type ReceivedLog } from "../collector/otelcol.ts";
import { Authority } from "../reporter/certificates.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingOtelcol();
if (reason !== undefined) console.log(`skipped: ${reason}`);

class Site implements AsyncDisposable {
  readonly folder = newFolder();
  readonly authority = new Authority();
  readonly client = this.authority.issue("client");
  readonly collector: Otelcol;

  constructor() {
    const { certificate, key } = this.authority.issue("server");
    // A key often is readable by root alone, which the reporter is not.
    chmodSync(this.client.key, 0o600);
    this.collector = new Otelcol(this.folder, {
      cert_file: certificate,
      key_file: key,
      client_ca_file: this.authority.certificate,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.collector[Symbol.asyncDispose]();
    rmSync(this.authority.folder, { recursive: true, force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function started(collector: Otelcol): Promise<ReceivedLog> {
  const find = (): ReceivedLog | undefined =>
    collector.logs().find(({ eventName }) => eventName === "treewarden.warden.started");
  await until("the Collector has the record", () => find() !== undefined);
  const found = find();
  if (found === undefined) throw new Error("the record is gone");
  return found;
}

describe.skipIf(reason !== undefined)(
  "a Collector that asks for a client certificate gets logs and metrics",
  () => {
    test("by the configuration file, in protobuf", async () => {
      await using site = new Site();
      const { collector, authority, client } = site;
      await collector.start();
      const config = join(site.folder, "config.yaml");
      writeFileSync(
        config,
        JSON.stringify({
          otlp: {
            endpoint: collector.endpoint,
            certificate: authority.certificate,
            client_certificate: client.certificate,
            client_key: client.key,
            interval_seconds: 1,
          },
        }),
      );
      await using running = await Running.start(["--config", config]);
      const log = await started(collector);
      expect(log.attributes["treewarden.policy.enforcement"]).toBe("observe");
      expect(BigInt(log.observedTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(log.timeUnixNano));
      const scrape = () =>
        fetch(`http://127.0.0.1:${collector.prometheusPort}/metrics`).then((it) => it.text());
      await until("it has metrics", async () => (await scrape()).includes("treewarden_events_total"));
      expect(running.stderr).toBe("");
    }, 40_000);

    test("by variables, in JSON", async () => {
      await using site = new Site();
      const { collector, authority, client } = site;
      await collector.start();
      await using running = await Running.start([], {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_EXPORTER_OTLP_CERTIFICATE: authority.certificate,
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: client.certificate,
        OTEL_EXPORTER_OTLP_CLIENT_KEY: client.key,
        OTEL_METRIC_EXPORT_INTERVAL: "500",
      });
      const log = await started(collector);
      expect(log.attributes["treewarden.policy.enforcement"]).toBe("observe");
      const scrape = () =>
        fetch(`http://127.0.0.1:${collector.prometheusPort}/metrics`).then((it) => it.text());
      await until("it has metrics", async () => (await scrape()).includes("treewarden_events_total"));
      expect(running.stderr).toBe("");
    }, 40_000);
  },
);

test.skipIf(whyNot() !== undefined)(
  "a value that cannot be understood turns its output off and leaves the warden on, and each place says so",
  async () => {
    const variables = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "banana",
      OTEL_LOGS_EXPORTER: "none",
    };
    const problem =
      "OTLP metrics are off: OTEL_EXPORTER_OTLP_METRICS_PROTOCOL must be http/protobuf or http/json";
    await using running = await Running.start([], variables);
    expect(running.stderr).toContain(problem);
    const ready = await fetch(`http://127.0.0.1:${running.port}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain(problem);
    expect((await running.health()).status).toBe(200);
    const { text } = await running.metrics();
    expect(text).toContain('treewarden_output_disabled{signal="metrics"} 1');
    expect(text).toContain('treewarden_output_disabled{signal="logs"} 0');
    const state = ["--state-dir", join(running.folder, "state")];
    const status = Bun.spawnSync([running.binary, "status", ...state]);
    expect(status.exitCode).toBe(1);
    expect(status.stdout.toString()).toContain(problem);
    const check = Bun.spawnSync([running.binary, "run", "--check"], { env: variables });
    expect(check.exitCode).toBe(2);
    expect(check.stderr.toString()).toContain(problem);
  },
  30_000,
);

test.skipIf(whyNot() !== undefined)(
  "an error in the file's section of an output turns that output off, and the warden runs by the rest of the file",
  async () => {
    const folder = newFolder();
    const config = join(folder, "config.yaml");
    writeFileSync(config, "arguments: { limit: 8192 }\notlp: { endpoint: banana }\n");
    try {
      const problem = `OTLP is off: ${config}:2:19: otlp.endpoint must be a URL`;
      await using running = await Running.start(["--config", config]);
      expect(running.stderr).toContain(problem);
      const { text } = await running.metrics();
      for (const signal of ["logs", "metrics"])
        expect(text).toContain(`treewarden_output_disabled{signal="${signal}"} 1`);
      const ready = await fetch(`http://127.0.0.1:${running.port}/readyz`);
      expect(await ready.text()).toContain("otlp.endpoint must be a URL");
      for (const words of [["run", "--check"], ["doctor"]]) {
        const command = Bun.spawnSync([running.binary, ...words, "--config", config]);
        expect(command.exitCode).toBe(2);
        expect(command.stdout.toString() + command.stderr.toString()).toContain(
          "otlp.endpoint must be a URL",
        );
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  30_000,
);
