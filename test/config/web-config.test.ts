import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseWebConfig } from "../../src/config/web-config.ts";

/** `htpasswd -nbBC 4 scraper opensesame` */
const HASH = "$2y$04$dfbflc0Eu2Tbi0.w7ad4sO11brSh1UT9EGrnn2ORqnsYA3Uxec7.W";

/** The errors with their places; empty if there are none. */
function errorsOf(yaml: string): readonly string[] {
  const result = parseWebConfig(yaml, "web.yaml");
  return result.ok ? [] : result.errors.map(({ line, column, message }) => `${line}:${column}: ${message}`);
}

test("TLS, client certificates and passwords are read as Prometheus's exporters read them", () => {
  const yaml = `
tls_server_config:
  cert_file: server.pem
  key_file: /etc/treewarden/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS13
basic_auth_users:
  scraper: ${HASH}
`;
  const result = parseWebConfig(yaml, "web.yaml");
  expect(result).toEqual({
    ok: true,
    value: {
      tls_server_config: {
        cert_file: "server.pem",
        key_file: "/etc/treewarden/server.key",
        client_auth_type: "RequireAndVerifyClientCert",
        client_ca_file: "ca.pem",
        min_version: "TLS13",
      },
      basic_auth_users: { scraper: HASH },
    },
  });
});

for (const [why, yaml, error] of [
  ["a file that protects nothing", "", "must have tls_server_config or basic_auth_users"],
  ["no users", "basic_auth_users: {}", "basic_auth_users must name a user"],
  ["a password in clear", "basic_auth_users: { scraper: opensesame }", "must be a bcrypt hash"],
  [
    "a hash of a higher cost than 12",
    `basic_auth_users: { scraper: ${HASH.replace("$04$", "$13$")} }`,
    "cost from 4 to 12: make it with htpasswd -nB -C 10 NAME",
  ],
  ["a user that no client can name", `basic_auth_users: { "a:b": ${HASH} }`, "without a colon"],
  ["a certificate without its key", "tls_server_config: { cert_file: a }", "key_file"],
  [
    "an authority that nobody is asked for",
    "tls_server_config: { cert_file: a, key_file: b, client_ca_file: c }",
    "must have client_ca_file if client_auth_type is RequireAndVerifyClientCert, and only then",
  ],
  [
    "a way of asking that there is not",
    "tls_server_config: { cert_file: a, key_file: b, client_auth_type: RequestClientCert }",
    'must be NoClientCert or RequireAndVerifyClientCert, not "RequestClientCert"',
  ],
  [
    "a setting of theirs that is not supported",
    "tls_server_config: { cert_file: a, key_file: b, cipher_suites: [] }",
    "tls_server_config.cipher_suites: no such setting",
  ],
  ["a section of theirs", "http_server_config: { http2: false }", "http_server_config: no such setting"],
  ["what is no YAML", "a: [", "1:"],
] as const)
  test(`${why} is refused`, () => {
    const errors = errorsOf(yaml);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.join("\n")).toContain(error);
  });

test("no error shows a password or a hash", () => {
  expect(errorsOf("basic_auth_users: { scraper: opensesame, other: [opensesame] }").join()).not.toContain(
    "opensesame",
  );
});

test("any text gives settings or errors", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      const result = parseWebConfig(text, "web.yaml");
      expect(result.ok || result.errors.length > 0).toBe(true);
    }),
  );
});
