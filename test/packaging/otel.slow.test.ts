// What packaging/otel has for people: each file is accepted by the program that it is for.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { parseWebConfig } from "../../src/config/web-config.ts";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import { otlpMetricAttribute } from "../../src/vocabulary/metric-attributes.ts";
import { missingOtelcol, otelcol } from "../collector/otelcol.ts";

const folder = join(import.meta.dir, "../../packaging/otel");
const filesOf = (pattern: string): readonly string[] =>
  [...new Bun.Glob(pattern).scanSync({ cwd: folder })].sort();
const textOf = (file: string): string => readFileSync(join(folder, file), "utf8");

/** What a command writes; throws if it fails. */
function output(command: readonly string[], environment: Readonly<Record<string, string>> = {}): string {
  const run = Bun.spawnSync([...command], { cwd: folder, env: { ...process.env, ...environment } });
  const written = run.stdout.toString() + run.stderr.toString();
  if (run.exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${run.exitCode}: ${written}`);
  return written;
}

const noCollector = missingOtelcol();
const collectorFiles = filesOf("collector-*.yaml");

test("there are configurations of the Collector for one host, a fleet, ClickHouse and Kafka", () => {
  expect(collectorFiles).toEqual([
    "collector-clickhouse.yaml",
    "collector-gateway.yaml",
    "collector-host.yaml",
    "collector-kafka.yaml",
  ]);
});

for (const file of collectorFiles)
  test.skipIf(noCollector !== undefined)(
    `the Collector accepts ${file}`,
    () => {
      // Its folder exists where the Collector was installed.
      const storage = `yaml:extensions::file_storage::directory: ${tmpdir()}`;
      const configs = textOf(file).includes("file_storage") ? [file, storage] : [file];
      const secrets = { GATEWAY_TOKEN: "token", CLICKHOUSE_PASSWORD: "secret", KAFKA_PASSWORD: "secret" };
      const validate = [otelcol(), "validate", ...configs.flatMap((config) => ["--config", config])];
      expect(output(validate, secrets)).toBe("");
    },
    // The first call on a host builds the Collector.
    600_000,
  );

const hasPromtool = process.env.CI === "true" || Bun.which("promtool") !== null;

for (const file of filesOf("prometheus*.yml"))
  test.skipIf(!hasPromtool)(`promtool accepts ${file}`, () => {
    expect(output(["promtool", "check", "config", file])).toContain("SUCCESS");
  });

test.skipIf(!hasPromtool)("every alert rule fires when it should, and is quiet when it should be", () => {
  expect(output(["promtool", "test", "rules", "treewarden.rules.test.yml"])).toContain("SUCCESS");
  const rules = [...textOf("treewarden.rules.yml").matchAll(/- alert: (\w+)/g)].map((match) => match[1]);
  const cases = textOf("treewarden.rules.test.yml");
  const tested = (rule: string | undefined): boolean =>
    new RegExp(`alertname: ${rule}\\n +exp_alerts:`).test(cases) &&
    new RegExp(`alertname: ${rule}\\n(?! +exp_alerts:)`).test(cases);
  expect(rules.length).toBeGreaterThan(15);
  expect(rules.filter((rule) => !tested(rule))).toEqual([]);
});

test("a Collector on a host has what the gateway demands", () => {
  const gateway = parse(textOf("collector-gateway.yaml")).receivers.otlp.protocols.http;
  const host = parse(textOf("collector-host.yaml")).exporters.otlphttp;
  expect(host.auth).toEqual(gateway.auth);
  expect(Object.keys(gateway.tls)).toContain("client_ca_file");
  expect(Object.keys(host.tls)).toEqual(["ca_file", "cert_file", "key_file"]);
});

test("a gateway that does not answer has an alert of its own", () => {
  const jobs = (file: string): readonly string[] =>
    parse(textOf(file)).scrape_configs.map(({ job_name }: { job_name: string }) => job_name);
  const [rules] = parse(textOf("treewarden.rules.yml")).groups;
  const expressionOf = (alert: string): string =>
    rules.rules.find((rule: { alert: string }) => rule.alert === alert).expr;
  expect(jobs("prometheus.yml").map((job) => `up{job="${job}"} == 0`)).toEqual([
    expressionOf("TreewardenDown"),
  ]);
  expect(jobs("prometheus-gateway.yml").map((job) => `up{job="${job}"} == 0`)).toEqual([
    expressionOf("TreewardenGatewayDown"),
  ]);
});

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

test.skipIf(!hasPromtool)("the panel Answers has each host, scraped or behind a gateway", () => {
  const { panels }: { panels: readonly Panel[] } = JSON.parse(textOf("dashboard.json"));
  const target = panels.find(({ title }) => title.startsWith("Answers"))?.targets?.[0];
  const info = (instance: string, job: string, values: string): object => ({
    series: `treewarden_info{instance="${instance}", job="${job}"}`,
    values,
  });
  const cases = {
    tests: [
      {
        interval: "1m",
        input_series: [
          { series: 'up{instance="answers:9501", job="treewarden"}', values: "1x60" },
          info("answers:9501", "treewarden", "1x60"),
          { series: 'up{instance="silent:9501", job="treewarden"}', values: "1x10 0x50" },
          info("silent:9501", "treewarden", "1x10 _x50"),
          { series: 'up{instance="gateway:9464", job="treewarden-gateway"}', values: "1x60" },
          info("sends", "treewarden-gateway", "1x60"),
          info("gone", "treewarden-gateway", "1x10 _x50"),
        ],
        promql_expr_test: [
          {
            expr: target?.expr.replaceAll("$instance", ".+"),
            eval_time: "30m",
            exp_samples: [
              { labels: 'up{instance="answers:9501", job="treewarden"}', value: 1 },
              { labels: 'up{instance="silent:9501", job="treewarden"}', value: 0 },
              { labels: '{instance="sends"}', value: 1 },
              { labels: '{instance="gone"}', value: 0 },
            ],
          },
        ],
      },
    ],
  };
  const temporary = mkdtempSync(join(tmpdir(), "treewarden-panel-"));
  try {
    const file = join(temporary, "panel.test.yml");
    writeFileSync(file, JSON.stringify(cases));
    expect(output(["promtool", "test", "rules", file])).toContain("SUCCESS");
  } finally {
    rmSync(temporary, { recursive: true });
  }
});

test("the dashboard shows every metric of what is lost, fails or is off", () => {
  const dashboard = textOf("dashboard.json");
  const metrics = ["eventsLost", "queueDropped", "exportFailures", "outputDisabled", "restarts"] as const;
  const missing = metrics.filter((name) => !dashboard.includes(instrumentNamed(name).prometheus));
  expect(missing).toEqual([]);
});

test("alert rules and dashboard name only metrics that there are", () => {
  const names = instrumentNames.flatMap((name) => {
    const { prometheus, ownName, kind } = instrumentNamed(name);
    const all = ownName === undefined ? [prometheus] : [prometheus, ownName];
    return kind === "histogram"
      ? all.flatMap((each) => [`${each}_bucket`, `${each}_sum`, `${each}_count`])
      : all;
  });
  const used = ["treewarden.rules.yml", "treewarden.rules.test.yml", "dashboard.json"].flatMap(
    (file) => textOf(file).match(/\btreewarden_\w+/g) ?? [],
  );
  expect([...new Set(used)].filter((name) => !names.includes(name))).toEqual([]);
});

test("what a Collector makes of each label becomes that label again", () => {
  const { scrape_configs: jobs } = parse(textOf("prometheus-gateway.yml"));
  const rules: readonly { action?: string; regex: string; replacement?: string }[] =
    jobs[0].metric_relabel_configs;
  const renamed = (collected: string): readonly string[] =>
    rules
      .filter(({ action, regex }) => action === "labelmap" && new RegExp(`^(?:${regex})$`).test(collected))
      .map(({ regex, replacement = "$1" }) => collected.replace(new RegExp(`^(?:${regex})$`), replacement));
  for (const name of instrumentNames) {
    const { otel, attributes } = instrumentNamed(name);
    const labels = name === "treeProcesses" ? [...attributes, "state"] : attributes;
    for (const label of labels) {
      const collected = otlpMetricAttribute(otel, label).replaceAll(".", "_");
      expect([otel, collected, renamed(collected)]).toEqual([otel, collected, [label]]);
    }
  }
});

test("the example of a web configuration file is one", () => {
  expect(parseWebConfig(textOf("web.example.yaml"), "web.example.yaml").ok).toBe(true);
});
