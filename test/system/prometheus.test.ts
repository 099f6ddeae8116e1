// A real Prometheus scrapes a real treewarden over TLS with a password, and another one by way of the Collector of a fleet;
// what people are given works on what it gets.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import { missingOtelcol, otelcol } from "../collector/otelcol.ts";
import { freePort } from "../ports.ts";
import { Authority } from "../reporter/certificates.ts";

import { Prometheus } from "./prometheus.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? (Bun.which("prometheus") === null ? "there is no Prometheus" : undefined);
if (reason !== undefined && process.env.CI !== "true") console.log(`skipped: ${reason}`);
const isSkipped = reason !== undefined && process.env.CI !== "true";

const packaging = join(import.meta.dir, "../../packaging/otel");
/** Twice a second, so that seconds are enough for rates. */
const SCRAPE_SECONDS = 0.5;
const RATE_INTERVAL = "4s";
const USER = "prometheus";
const PASSWORD = "open sesame";
const NETWORK = "network: { watch: [connect], connect: { loopback: true } }";

/** Starts a program that connects, for every metric of the dashboard. */
function connect(): void {
  Bun.spawnSync(["bash", "-c", "exec 3<> /dev/tcp/127.0.0.1/9"], { stderr: "ignore" });
}

/** The expressions of a Grafana dashboard, with their variables replaced as Grafana does it. */
function expressionsOf(dashboard: string): readonly { readonly title: string; readonly expr: string }[] {
  const { panels }: { panels: readonly { title: string; targets?: readonly { expr: string }[] }[] } =
    JSON.parse(dashboard);
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      title,
      expr: expr.replaceAll("$__rate_interval", RATE_INTERVAL).replaceAll("$instance", ".+"),
    })),
  );
}

const expressions = expressionsOf(readFileSync(join(packaging, "dashboard.json"), "utf8"));

/** The queries of the dashboard for which Prometheus has no data. */
async function emptyQueries(prometheus: Prometheus): Promise<readonly string[]> {
  const empty: string[] = [];
  for (const { title, expr } of expressions) {
    const samples = await prometheus.query(expr);
    if (!samples.some(({ value: [, value] }) => value !== "NaN")) empty.push(`${title}: ${expr}`);
  }
  return empty;
}

const interval = `${SCRAPE_SECONDS * 1000}ms`;
const global = { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: "1s" };

describe.skipIf(isSkipped)("Prometheus", () => {
  let folder: string;
  let authority: Authority;
  let running: Running;
  let prometheus: Prometheus;
  let config: string;
  let load: ReturnType<typeof setInterval>;

  beforeAll(async () => {
    folder = newFolder();
    authority = new Authority();
    const server = authority.issue("server");
    const client = authority.issue("client");
    // As administrators keep a key: the reporter's user cannot read it.
    chmodSync(server.key, 0o600);
    const web = join(folder, "web.yaml");
    const webConfig = {
      tls_server_config: {
        cert_file: server.certificate,
        key_file: server.key,
        client_auth_type: "RequireAndVerifyClientCert",
        client_ca_file: authority.certificate,
      },
      basic_auth_users: { [USER]: Bun.password.hashSync(PASSWORD, { algorithm: "bcrypt", cost: 10 }) },
    };
    writeFileSync(web, JSON.stringify(webConfig), { mode: 0o600 });
    config = join(folder, "config.yaml");
    writeFileSync(config, `metrics: { web_config: ${web} }\n${NETWORK}\n`);
    running = await Running.start(["--config", config]);
    const scrape = {
      job_name: "treewarden",
      scheme: "https",
      tls_config: { ca_file: authority.certificate, cert_file: client.certificate, key_file: client.key },
      basic_auth: { username: USER, password: PASSWORD },
      static_configs: [{ targets: [`127.0.0.1:${running.port}`] }],
    };
    prometheus = new Prometheus(
      join(folder, "prometheus"),
      JSON.stringify({
        global,
        rule_files: [join(packaging, "treewarden.rules.yml")],
        scrape_configs: [scrape],
      }),
    );
    load = setInterval(connect, 200);
    await prometheus.until('sum_over_time(up{job="treewarden"}[1m]) >= 10', 30_000);
  }, 60_000);

  afterAll(async () => {
    clearInterval(load);
    await prometheus?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
    rmSync(authority.folder, { recursive: true, force: true });
  });

  test("every query of the dashboard gives data", async () => {
    expect(expressions.length).toBeGreaterThan(30);
    expect(await emptyQueries(prometheus)).toEqual([]);
  });

  test("every alert rule can be evaluated, and a host in order alerts of nothing that is broken", async () => {
    type Rules = { groups: readonly { rules: readonly { name: string; health: string; state: string }[] }[] };
    const evaluated = async (): Promise<readonly Rules["groups"][number]["rules"][number][]> => {
      const { groups } = (await prometheus.api("rules?type=alert")) as Rules;
      return groups.flatMap(({ rules }) => rules);
    };
    await until("all rules were evaluated", async () =>
      (await evaluated()).every(({ health }) => health !== "unknown"),
    );
    const rules = await evaluated();
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
    const found = ["TreewardenAlerts", "TreewardenCritical"];
    const firing = rules.filter(({ name, state }) => state === "firing" && !found.includes(name));
    expect(firing.map(({ name }) => name)).toEqual([]);
  });

  test("the metrics of the contract are there under their names", async () => {
    const names = (await prometheus.api("label/__name__/values")) as readonly string[];
    const contract = [
      "process",
      "process_seconds_bucket",
      "treewarden_tree_processes",
      "treewarden_tree_duration_seconds_bucket",
      "treewarden_events_total",
      "treewarden_events_lost_total",
      "treewarden_execs_unattributed_total",
      "treewarden_verdicts_total",
      "treewarden_verdict_seconds_bucket",
      "treewarden_queue_dropped_total",
      "treewarden_export_failures_total",
      "treewarden_resyncs_total",
      "treewarden_restarts_total",
      "treewarden_policy_load_failures_total",
      "treewarden_config_last_reload_successful",
      "treewarden_config_last_reload_success_timestamp_seconds",
      "treewarden_info",
      "treewarden_policy_info",
      "treewarden_process_cpu_seconds_total",
      "treewarden_process_resident_memory_bytes",
      "treewarden_process_private_memory_bytes",
      "treewarden_journal_bytes",
      "treewarden_export_backlog_records",
      "treewarden_kill_budget_remaining",
      "treewarden_last_event_timestamp_seconds",
      "treewarden_trees_overflow_total",
    ];
    expect(contract.filter((name) => !names.includes(name))).toEqual([]);
  });

  test("each process of treewarden has its cost", async () => {
    const samples = await prometheus.until("treewarden_process_private_memory_bytes > 1e6", 10_000);
    const processes = samples.map(({ metric }) => metric.process).toSorted();
    expect(processes).toContain("warden");
    expect(processes).toContain("reporter");
    expect(processes).toContain("supervisor");
    expect(processes).toContain("standby");
    await prometheus.until('treewarden_process_cpu_seconds_total{process="warden"} > 0', 10_000);
  });

  test("without a certificate and a password nothing is shown", async () => {
    const url = `https://127.0.0.1:${running.port}/metrics`;
    const ca = readFileSync(authority.certificate, "utf8");
    await expect(fetch(url, { tls: { ca } }).then((answer) => answer.text())).rejects.toThrow();
    const client = authority.issue("another");
    const tls = { ca, cert: readFileSync(client.certificate, "utf8"), key: readFileSync(client.key, "utf8") };
    expect((await fetch(url, { tls })).status).toBe(401);
    const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString("base64")}`;
    const answer = await fetch(url, { tls, headers: { authorization } });
    expect(answer.status).toBe(200);
    const promtool = Bun.spawn(["promtool", "check", "metrics"], {
      stdin: new Blob([await answer.text()]),
      stdout: "pipe",
      stderr: "pipe",
    });
    const complaints = await Promise.all([
      new Response(promtool.stdout).text(),
      new Response(promtool.stderr).text(),
    ]);
    expect([await promtool.exited, ...complaints]).toEqual([0, "", ""]);
  });

  test("a file that cannot be used turns the endpoint off, and neither the warden nor its protection", async () => {
    const web = join(folder, "broken.yaml");
    writeFileSync(web, "basic_auth_users: { prometheus: opensesame }\n");
    const broken = join(folder, "broken-config.yaml");
    writeFileSync(broken, `metrics: { web_config: ${web} }\n`);
    const check = Bun.spawnSync([binary, "run", "--check", "--config", broken]);
    expect(check.exitCode).toBe(2);
    const problem = `${web}:1:33: basic_auth_users.prometheus must be a bcrypt hash`;
    expect(check.stderr.toString()).toContain(problem);
    await using open = await Running.start(["--config", broken]);
    await until("it says so", () => open.stderr.includes(problem));
    await expect(open.health()).rejects.toThrow();
    const status = Bun.spawnSync([binary, "status", "--state-dir", join(open.folder, "state")]);
    expect(status.stdout.toString()).toContain(problem);
    expect(status.stdout.toString() + open.stderr).not.toContain("opensesame");
  });
});

const noGateway = isSkipped ? reason : missingOtelcol();

describe.skipIf(noGateway !== undefined)("Prometheus behind a fleet's gateway", () => {
  let folder: string;
  let authority: Authority;
  let collector: Bun.Subprocess;
  let running: Running;
  let prometheus: Prometheus;
  let load: ReturnType<typeof setInterval>;

  beforeAll(async () => {
    folder = newFolder();
    authority = new Authority();
    const [server, client] = [authority.issue("server"), authority.issue("client")];
    const [port, metricsPort] = [freePort(), freePort()];
    const receiver = "receivers::otlp::protocols::http";
    const changes = [
      `${receiver}::endpoint: 127.0.0.1:${port}`,
      `${receiver}::tls::cert_file: ${server.certificate}`,
      `${receiver}::tls::key_file: ${server.key}`,
      `${receiver}::tls::client_ca_file: ${authority.certificate}`,
      `exporters::prometheus::endpoint: 127.0.0.1:${metricsPort}`,
      `exporters::file::path: ${join(folder, "treewarden.json")}`,
      `extensions::health_check::endpoint: 127.0.0.1:${freePort()}`,
      "service::telemetry::metrics::level: none",
    ];
    const configs = [join(packaging, "collector-gateway.yaml"), ...changes.map((change) => `yaml:${change}`)];
    collector = Bun.spawn([otelcol(), ...configs.flatMap((config) => ["--config", config])], {
      env: { ...process.env, GATEWAY_TOKEN: "token" },
      stdio: ["ignore", "ignore", "ignore"],
    });
    const config = join(folder, "config.yaml");
    writeFileSync(config, `${NETWORK}\n`);
    running = await Running.start(["--config", config], {
      OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_CERTIFICATE: authority.certificate,
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: client.certificate,
      OTEL_EXPORTER_OTLP_CLIENT_KEY: client.key,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20token",
      OTEL_METRIC_EXPORT_INTERVAL: "1000",
    });
    const shipped = parse(readFileSync(join(packaging, "prometheus-gateway.yml"), "utf8"));
    const [job] = shipped.scrape_configs;
    prometheus = new Prometheus(
      join(folder, "prometheus"),
      JSON.stringify({
        global,
        scrape_configs: [{ ...job, static_configs: [{ targets: [`127.0.0.1:${metricsPort}`] }] }],
      }),
    );
    load = setInterval(connect, 200);
    await prometheus.until("count_over_time(treewarden_info[1m]) >= 10", 30_000);
  }, 60_000);

  afterAll(async () => {
    clearInterval(load);
    await prometheus?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    collector?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    rmSync(authority.folder, { recursive: true, force: true });
  });

  test("every query of the dashboard gives data", async () => {
    expect(await emptyQueries(prometheus)).toEqual([]);
  });

  test("names and labels are those of treewarden's endpoint, and the instance is the host", async () => {
    const labelsOf = new Map<string, readonly string[]>();
    for (const instrument of instrumentNames) {
      const { prometheus: name, ownName = name, attributes, kind } = instrumentNamed(instrument);
      const labels = [...attributes, ...(instrument === "treeProcesses" ? ["state"] : [])];
      if (kind !== "histogram") labelsOf.set(ownName, labels);
      else for (const part of ["bucket", "sum", "count"]) labelsOf.set(`${ownName}_${part}`, labels);
    }
    const found = await prometheus.query('{__name__=~"treewarden_.+"}');
    const names = new Set(found.map(({ metric }) => metric.__name__ ?? ""));
    expect(names.size).toBeGreaterThan(30);
    expect([...names].filter((name) => !labelsOf.has(name))).toEqual([]);
    const common = ["__name__", "instance", "job", "le"];
    for (const { metric } of found) {
      const labels = Object.keys(metric).filter((label) => !common.includes(label));
      expect([metric.__name__, labels.toSorted()]).toEqual([
        metric.__name__,
        [...(labelsOf.get(metric.__name__ ?? "") ?? [])].toSorted(),
      ]);
      expect(metric.instance).toBe(hostname());
    }
  });
});
