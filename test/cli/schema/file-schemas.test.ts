import { describe, expect, test } from "bun:test";
import { parse as parseJsonc } from "jsonc-parser";
import { parse as parseYaml } from "yaml";
import { settingText } from "../../../build/configuration-page.ts";
import { configurationSchema, policySchema } from "../../../src/cli/schema/file-schemas.ts";
import { settingNames } from "../../../src/config/config.ts";
import { parseConfig } from "../../../src/config/config-file.ts";
import { settings } from "../../../src/config/settings.ts";
import { embeddedPolicies } from "../../../src/policy/embedded.ts";
import { isValid } from "./validate.ts";

const policy = policySchema();
const configuration = configurationSchema();

describe("the schema of policies", () => {
  for (const [role, text] of embeddedPolicies)
    test(`accepts the role ${role}`, () => expect(isValid(parseJsonc(text), policy)).toBeTrue());

  const wrong: readonly string[] = [
    '{ "rules": [] }',
    '{ "role": "not a name" }',
    '{ "role": "web", "rule": [] }',
    '{ "role": "web", "rules": [{ "id": "x", "action": "alert" }] }',
    '{ "role": "web", "rules": [{ "id": "x", "when": { "under": ["a"] }, "action": "kil" }] }',
    '{ "role": "web", "rules": [{ "id": "x", "when": { "undr": ["a"] }, "action": "kill" }] }',
    '{ "role": "web", "rules": [{ "id": "x", "when": { "under": ["a"], "in": [] }, "action": "kill" }] }',
    '{ "role": "web", "rules": [{ "id": "x", "when": "under", "action": "kill" }] }',
    '{ "role": "web", "default": { "exec": "kil" } }',
    '{ "role": "web", "tests": [{ "name": "x", "lineage": [], "expect": { "action": "kill" } }] }',
  ];
  for (const text of wrong)
    test(`refuses ${text}`, () => expect(isValid(parseJsonc(text), policy)).toBeFalse());
});

describe("the schema of the configuration", () => {
  for (const [name, { example }] of Object.entries(settings)) {
    const text = settingText(name, example);
    test(`accepts ${text}`, () => expect(isValid(parseYaml(text), configuration)).toBeTrue());
  }

  const wrong: readonly string[] = [
    "enforcment: kill",
    "enforcement: kil",
    "kill: { max_per_minute: many }",
    "kill: { max_per_minute: -1 }",
    "kill: 10",
    "armed: [no-slash]",
    "armed: none",
    "policy_keys: [relative.pub]",
    "environment: { read: ['no name'] }",
  ];
  for (const text of wrong)
    test(`refuses ${text}, as treewarden does`, () => {
      expect(isValid(parseYaml(text), configuration)).toBeFalse();
      expect(parseConfig(text, "config.yaml").ok).toBeFalse();
    });

  test("says what each setting means", () => {
    const text = JSON.stringify(configuration);
    for (const name of settingNames) expect(text).toContain(`"${name.split(".").at(-1)}":{"description":"`);
  });
});
