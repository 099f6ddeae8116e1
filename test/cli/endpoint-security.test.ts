// What an administrator reads about a web configuration file that cannot be used.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readEndpointSecurity } from "../../src/cli/endpoint-security.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "endpoint-security-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["basic_auth_users: { prometheus: opensesame }\n", "must be a bcrypt hash"],
  ["tls_server_config: { cert_file: none.pem, key_file: none.key }\n", "none.pem"],
  [undefined, "metrics.web_config"],
])("the message begins with its consequence: %p", (text, reason) => {
  const path = join(folder, text === undefined ? "none.yaml" : "web.yaml");
  if (text !== undefined) writeFileSync(path, text);
  const { security, problems } = readEndpointSecurity(path);
  expect(security).toBeNull();
  expect(problems).toHaveLength(1);
  expect(problems[0]?.text).toStartWith("the endpoint for Prometheus is off: ");
  expect(problems[0]?.text).toContain(reason);
});
