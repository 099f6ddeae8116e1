import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { defaultConfig } from "../../src/config/config.ts";
import { ineffectiveVariables } from "../../src/reporter/otel-variables.ts";
import { honouredNames, readOtlpSettings } from "../../src/reporter/read-otlp-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-otlp-settings-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function openssl(...args: readonly string[]): void {
  const made = Bun.spawnSync(["openssl", ...args], { cwd: folder });
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
}
const inFolder = (name: string): string => join(folder, name);

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
openssl("req", "-x509", ...newKey, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=host");
openssl("genpkey", "-algorithm", "ed25519", "-out", "other.pem");
openssl("pkey", "-in", "key.pem", "-aes256", "-passout", "pass:secret", "-out", "encrypted.pem");
writeFileSync(inFolder("empty.pem"), "");
chmodSync(inFolder("key.pem"), 0o600);
const [cert, key] = [inFolder("cert.pem"), inFolder("key.pem")];

const file = defaultConfig().otlp;
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
const read = (environment: Readonly<Record<string, string>>, config = file) =>
  readOtlpSettings(config, { ...endpoint, ...environment });
const pair = { OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cert, OTEL_EXPORTER_OTLP_CLIENT_KEY: key };

/** What is different because the variable is set, and a value that turns outputs off. */
interface Case {
  readonly value: string;
  readonly with?: Readonly<Record<string, string>>;
  readonly logs?: object | null;
  readonly metrics?: object | null;
  readonly resource?: object;
  readonly wrong: readonly string[];
  readonly off: readonly ("logs" | "metrics")[];
}

const both = ["logs", "metrics"] as const;
const logsOnly = ["logs"] as const;
const metricsOnly = ["metrics"] as const;

/** A setting of both signals, and the variables that set it for one of them. `more`: the other half of a pair. */
function ofSignals(
  suffix: string,
  value: string,
  wrong: readonly string[],
  expected: object,
  more?: readonly [suffix: string, value: string],
) {
  const common = (prefix: string) => ({
    value,
    wrong,
    with: more === undefined ? {} : { [`OTEL_EXPORTER_OTLP_${prefix}${more[0]}`]: more[1] },
  });
  return {
    [`OTEL_EXPORTER_OTLP_${suffix}`]: { ...common(""), logs: expected, metrics: expected, off: both },
    [`OTEL_EXPORTER_OTLP_LOGS_${suffix}`]: { ...common("LOGS_"), logs: expected, off: logsOnly },
    [`OTEL_EXPORTER_OTLP_METRICS_${suffix}`]: { ...common("METRICS_"), metrics: expected, off: metricsOnly },
  };
}

const keyPair = expect.objectContaining({
  cert: expect.stringContaining("CERTIFICATE"),
  key: expect.stringContaining("PRIVATE"),
});
const noUrls = ["127.0.0.1:4318", "banana", "ftp://host", "http://"];
const noNumbers = ["banana", "-1", "1.5", "1e3", "10s", "99999999999999999999"];
const noHeaders = ["authorization: x", "a", "=b", "a=%zz", "a b=c", "a=%0d%0aevil: 1", "content-type=x"];

const cases: Readonly<Record<string, Case>> = {
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    value: "https://c.example/base/?tenant=1",
    logs: { url: "https://c.example/base/v1/logs?tenant=1" },
    metrics: { url: "https://c.example/base/v1/metrics?tenant=1" },
    wrong: noUrls,
    off: both,
  },
  OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: {
    value: "http://logs.example/in/",
    logs: { url: "http://logs.example/in/" },
    wrong: noUrls,
    off: logsOnly,
  },
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: {
    value: "http://m.example",
    metrics: { url: "http://m.example" },
    wrong: noUrls,
    off: metricsOnly,
  },
  ...ofSignals("PROTOCOL", "http/json", ["grpc", "banana", "json"], { protocol: "http/json" }),
  ...ofSignals("HEADERS", "authorization=Basic%20eDp5=,x-b=2,", noHeaders, {
    headers: { authorization: "Basic eDp5=", "x-b": "2" },
  }),
  ...ofSignals("COMPRESSION", "NONE", ["zstd", "deflate"], { compression: "none" }),
  ...ofSignals("TIMEOUT", "2500", [...noNumbers, "0"], { timeoutMs: 2_500 }),
  ...ofSignals("CERTIFICATE", cert, ["/nonexistent", folder, inFolder("empty.pem"), key], {
    tls: expect.objectContaining({ ca: expect.stringContaining("CERTIFICATE") }),
  }),
  ...ofSignals("CLIENT_CERTIFICATE", cert, ["/nonexistent", inFolder("empty.pem")], { tls: keyPair }, [
    "CLIENT_KEY",
    key,
  ]),
  ...ofSignals(
    "CLIENT_KEY",
    key,
    ["/nonexistent", inFolder("empty.pem"), inFolder("other.pem"), inFolder("encrypted.pem")],
    { tls: keyPair },
    ["CLIENT_CERTIFICATE", cert],
  ),
  OTEL_SDK_DISABLED: { value: "TRUE", logs: null, metrics: null, wrong: ["1", "banana"], off: both },
  OTEL_SERVICE_NAME: { value: "guard", resource: { "service.name": "guard" }, wrong: [], off: [] },
  OTEL_RESOURCE_ATTRIBUTES: {
    value: "deployment.environment.name=test%20bed,host.id=h1",
    resource: { "deployment.environment.name": "test bed", "host.id": "h1" },
    wrong: ["a", "=b", "a=%zz"],
    off: both,
  },
  OTEL_LOGS_EXPORTER: {
    value: "none",
    logs: null,
    wrong: ["console", "banana", "otlp,console", "otlp/stdout", "none,otlp"],
    off: logsOnly,
  },
  OTEL_METRICS_EXPORTER: { value: "prometheus", metrics: null, wrong: ["console", "x"], off: metricsOnly },
  OTEL_BLRP_SCHEDULE_DELAY: { value: "0", logs: { gatherMs: 0 }, wrong: noNumbers, off: logsOnly },
  OTEL_BLRP_EXPORT_TIMEOUT: { value: "700", logs: { timeoutMs: 700 }, wrong: noNumbers, off: logsOnly },
  OTEL_BLRP_MAX_EXPORT_BATCH_SIZE: {
    value: "20",
    logs: { batchSize: 20 },
    wrong: [...noNumbers, "0"],
    off: logsOnly,
  },
  OTEL_ATTRIBUTE_COUNT_LIMIT: {
    value: "7",
    logs: { limits: { count: 7, length: null } },
    wrong: noNumbers,
    off: logsOnly,
  },
  OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT: {
    value: "8",
    with: { OTEL_ATTRIBUTE_COUNT_LIMIT: "7" },
    logs: { limits: { count: 8, length: null } },
    wrong: noNumbers,
    off: logsOnly,
  },
  OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: {
    value: "100",
    logs: { limits: { count: 128, length: 100 } },
    wrong: noNumbers,
    off: logsOnly,
  },
  OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT: {
    value: "0",
    with: { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: "100" },
    logs: { limits: { count: 128, length: 0 } },
    wrong: noNumbers,
    off: logsOnly,
  },
  OTEL_METRIC_EXPORT_INTERVAL: {
    value: "500",
    metrics: { intervalMs: 500 },
    wrong: [...noNumbers, "0"],
    off: metricsOnly,
  },
  OTEL_METRIC_EXPORT_TIMEOUT: {
    value: "800",
    metrics: { timeoutMs: 800 },
    wrong: noNumbers,
    off: metricsOnly,
  },
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: {
    value: "Cumulative",
    metrics: {},
    wrong: ["delta", "lowmemory", "banana"],
    off: metricsOnly,
  },
  OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: {
    value: "base2_exponential_bucket_histogram",
    metrics: { histograms: "base2_exponential_bucket_histogram" },
    wrong: ["exponential", "banana"],
    off: metricsOnly,
  },
};

test("every variable of the table has a case here", () => {
  expect(Object.keys(cases).toSorted()).toEqual([...honouredNames].toSorted());
});

for (const [
  name,
  { value, with: more = {}, logs = {}, metrics = {}, resource, wrong, off },
] of Object.entries(cases)) {
  describe(name, () => {
    test("is honoured", () => {
      const { settings, problems } = read({ ...more, [name]: value });
      expect(problems).toEqual([]);
      const plain = read({}).settings;
      const expectSignal = (
        found: object | null | undefined,
        usual: object | null | undefined,
        change: object | null,
      ) =>
        change === null ? expect(found ?? null).toBeNull() : expect(found).toEqual({ ...usual, ...change });
      expectSignal(settings?.logs, plain?.logs, logs);
      expectSignal(settings?.metrics, plain?.metrics, metrics);
      if (resource !== undefined) expect(settings?.resource).toEqual({ ...resource });
    });

    test("counts as unset if it is empty", () => {
      expect(read({ ...more, [name]: "" })).toEqual(
        name === "OTEL_EXPORTER_OTLP_ENDPOINT" ? readOtlpSettings(file, {}) : read(more),
      );
    });

    for (const each of wrong) {
      test(`turns off ${off.join(" and ")} if it is ${JSON.stringify(each.replace(folder, ""))}`, () => {
        const { settings, problems } = read({ ...more, [name]: each });
        for (const signal of both) expect(settings?.[signal] == null).toBe(off.some((own) => own === signal));
        expect(problems.flatMap(({ signals }) => signals).toSorted()).toEqual([...off]);
        expect(problems[0]?.text).toContain(name);
      });
    }
  });
}

test("the headers of one signal are added to those of both, and win", () => {
  const { settings } = read({
    OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=1",
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: "b=2",
  });
  expect(settings?.logs?.headers).toEqual({ a: "1", b: "2" });
  expect(settings?.metrics?.headers).toEqual({ a: "1", b: "1" });
});

test("a variable replaces the file's setting, and the file has the rest", () => {
  const config = { ...file, endpoint: "http://file:4318/", headers: { a: "file" }, timeout_seconds: 3 };
  const fromFile = readOtlpSettings(config, {}).settings;
  expect(fromFile?.logs).toMatchObject({
    url: "http://file:4318/v1/logs",
    headers: { a: "file" },
    timeoutMs: 3_000,
  });
  const { settings } = readOtlpSettings(config, { OTEL_EXPORTER_OTLP_METRICS_HEADERS: "b=2" });
  expect(settings?.logs?.headers).toEqual({ a: "file" });
  expect(settings?.metrics?.headers).toEqual({ b: "2" });
});

test("no message shows what may be secret", () => {
  const { problems } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: "user:hunter2@collector",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization: hunter2",
    OTEL_RESOURCE_ATTRIBUTES: "key=hunter2%",
  });
  expect(problems.length).toBe(3);
  for (const { text } of problems) expect(text).not.toContain("hunter2");
});

test("whatever the variables hold, reading ends, and what has a problem is off", () => {
  const names = fc.constantFrom(...honouredNames);
  const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: "binary", maxLength: 50 }));
  fc.assert(
    fc.property(fc.dictionary(names, text, { maxKeys: 5 }), (variables) => {
      const { settings, problems } = read(variables);
      const off = new Set(problems.flatMap(({ signals }) => signals));
      for (const signal of both) if (off.has(signal)) expect(settings?.[signal] ?? null).toBeNull();
      for (const { text: message } of problems) expect(message.length).toBeLessThan(1_000);
    }),
    { numRuns: 500 },
  );
});

test("a certificate without its key, and a key without its certificate, turn the output off", () => {
  const [certificateName, keyName] = Object.keys(pair);
  for (const [name = "", path] of [
    [certificateName, cert],
    [keyName, key],
  ])
    expect(read({ [name]: path ?? "" }).problems[0]?.text).toContain(`${name} is set, but no client`);
});

test("a file that cannot be used is named with the reason", () => {
  const reasonFor = (variables: Readonly<Record<string, string>>) => read(variables).problems[0]?.text;
  expect(reasonFor({ OTEL_EXPORTER_OTLP_CERTIFICATE: "/nonexistent" })).toBe(
    "OTLP is off: OTEL_EXPORTER_OTLP_CERTIFICATE: /nonexistent does not exist",
  );
  expect(reasonFor({ OTEL_EXPORTER_OTLP_CERTIFICATE: key })).toContain("holds no certificate in PEM");
  expect(reasonFor({ ...pair, OTEL_EXPORTER_OTLP_CLIENT_KEY: cert })).toContain(
    "holds no private key in PEM",
  );
  expect(reasonFor({ ...pair, OTEL_EXPORTER_OTLP_CLIENT_KEY: inFolder("other.pem") })).toContain(
    `other.pem does not belong to the certificate in ${cert}`,
  );
  expect(reasonFor({ ...pair, OTEL_EXPORTER_OTLP_CLIENT_KEY: inFolder("encrypted.pem") })).toContain(
    "must be one without a passphrase",
  );
});

test("a configuration file of OpenTelemetry would replace all variables, so it turns everything off", () => {
  const { settings, problems } = read({ OTEL_CONFIG_FILE: "/etc/otel.yaml" });
  expect(settings).toBeNull();
  expect(problems[0]?.text).toStartWith("OTLP is off: OTEL_CONFIG_FILE is not supported");
});

test("a variable that has no effect is named, and turns nothing off", () => {
  const names = [
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_METRICS_EXEMPLAR_FILTER",
    "OTEL_LOG_LEVEL",
    "HTTPS_PROXY",
  ];
  const reading = read(Object.fromEntries([...names, "OTEL_BANANA"].map((name) => [name, "x"])));
  expect(reading.settings).toEqual(read({}).settings);
  expect(reading.problems).toEqual([]);
  for (const name of names) expect(reading.notes.join("\n")).toContain(name);
  expect(reading.notes).toContain("OTEL_BANANA: not known to treewarden, no effect");
  for (const { names: pattern } of ineffectiveVariables)
    expect(names.some((name) => pattern.test(name))).toBe(true);
});

test("without an endpoint nothing is sent, and an exporter that is asked for is named", () => {
  expect(readOtlpSettings(file, { OTEL_EXPORTER_OTLP_TIMEOUT: "banana" })).toEqual({
    settings: null,
    problems: [],
    notes: [],
  });
  const { settings, notes } = readOtlpSettings(file, { OTEL_LOGS_EXPORTER: "otlp" });
  expect(settings).toBeNull();
  expect(notes[0]).toContain("no endpoint is set");
});
