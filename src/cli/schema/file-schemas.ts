// The JSON Schemas of the files that people write: policies and the configuration.
import { configSchema, settingNames } from "../../config/config.ts";
import type { SettingRow } from "../../config/setting-row.ts";
import { sectionTitles, settings } from "../../config/settings.ts";
import { operatorNames } from "../../policy/condition.ts";
import { conditionSchema, roleFileSchema } from "../../policy/schema.ts";
import { judgedNames } from "../../vocabulary/variables.ts";
import { type Json, type JsonSchema, jsonSchema } from "./json-schema.ts";

const dialect = "https://json-schema.org/draft/2020-12/schema";

/** The schema of a policy file. Of conditions it has the operators and variables, not the types. */
export function policySchema(): JsonSchema {
  const operation = { $ref: "#/$defs/operation" };
  const expression = { $ref: "#/$defs/expression" };
  const named = new Map<unknown, JsonSchema>([
    [conditionSchema, { anyOf: [{ type: "boolean" }, operation] }],
  ]);
  return {
    $schema: dialect,
    title: "treewarden policy",
    ...jsonSchema(roleFileSchema, named),
    $defs: {
      expression: {
        anyOf: [
          { type: ["string", "number", "boolean", "null"] },
          { type: "array", items: expression },
          operation,
        ],
      },
      operation: {
        description: "a condition of JSONLogic: one operator with its arguments",
        type: "object",
        minProperties: 1,
        maxProperties: 1,
        properties: {
          ...Object.fromEntries(operatorNames.map((name) => [name, expression])),
          var: { anyOf: [{ enum: [...judgedNames] }, expression] },
        },
        additionalProperties: false,
      },
    },
  };
}

/** The schema of the configuration file, with what each setting means. */
export function configurationSchema(): JsonSchema {
  return { $schema: dialect, title: "treewarden configuration", ...described(jsonSchema(configSchema), "") };
}

const rows: ReadonlyMap<string, SettingRow> = new Map(Object.entries(settings));
const titles: ReadonlyMap<string, string> = new Map(Object.entries(sectionTitles));

/** The same schema with descriptions of the properties; `prefix`: the section in which they are. */
function described(schema: JsonSchema, prefix: string): JsonSchema {
  const { properties } = schema;
  if (!isSchema(properties)) return schema;
  const named = Object.entries(properties).map(([key, value]): [string, Json] => {
    const name = prefix + key;
    if (!isSchema(value)) return [key, value];
    if (!settingNames.includes(name))
      return [key, { description: titles.get(name) ?? "", ...described(value, `${name}.`) }];
    return [key, { description: rows.get(name)?.meaning ?? "", ...value }];
  });
  return { ...schema, properties: Object.fromEntries(named) };
}

function isSchema(value: Json | undefined): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
