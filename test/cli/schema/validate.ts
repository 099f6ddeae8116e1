// A validator of JSON Schema for the keywords that treewarden's schemas use. It throws for any other, so that no keyword
// goes untested.
import type { Json, JsonSchema } from "../../../src/cli/schema/json-schema.ts";

const annotations = new Set(["$schema", "$defs", "title", "description", "default"]);

/** Whether `value` is valid by `schema`; `root`: the schema with the definitions. */
export function isValid(value: Json, schema: JsonSchema, root: JsonSchema = schema): boolean {
  return Object.entries(schema).every(
    ([keyword, wanted]) => annotations.has(keyword) || holds(keyword, wanted),
  );

  function holds(keyword: string, wanted: Json): boolean {
    switch (keyword) {
      case "$ref":
        return isValid(value, schemaOf(at(root, String(wanted))), root);
      case "type":
        return listOf(wanted).some((type) => isOfType(value, String(type)));
      case "const":
        return value === wanted;
      case "enum":
        return listOf(wanted).includes(value);
      case "anyOf":
        return listOf(wanted).some((each) => isValid(value, schemaOf(each), root));
      case "properties":
        return (
          !isObject(value) ||
          Object.entries(schemaOf(wanted)).every(([name, each]) => {
            const field = value[name];
            return field === undefined || isValid(field, schemaOf(each), root);
          })
        );
      case "required":
        return !isObject(value) || listOf(wanted).every((name) => String(name) in value);
      case "additionalProperties":
        return (
          !isObject(value) ||
          Object.entries(value).every(([name, field]) => {
            if (name in schemaOf(schema.properties ?? {})) return true;
            return wanted !== false && isValid(field, schemaOf(wanted), root);
          })
        );
      case "propertyNames":
        return !isObject(value) || Object.keys(value).every((name) => isValid(name, schemaOf(wanted), root));
      case "minProperties":
        return !isObject(value) || Object.keys(value).length >= Number(wanted);
      case "maxProperties":
        return !isObject(value) || Object.keys(value).length <= Number(wanted);
      case "items":
        return !Array.isArray(value) || value.every((item) => isValid(item, schemaOf(wanted), root));
      case "minItems":
        return !Array.isArray(value) || value.length >= Number(wanted);
      case "maxItems":
        return !Array.isArray(value) || value.length <= Number(wanted);
      case "pattern":
        return typeof value !== "string" || new RegExp(String(wanted), "u").test(value);
      case "minLength":
        return typeof value !== "string" || value.length >= Number(wanted);
      case "maxLength":
        return typeof value !== "string" || value.length <= Number(wanted);
      case "minimum":
        return typeof value !== "number" || value >= Number(wanted);
      case "maximum":
        return typeof value !== "number" || value <= Number(wanted);
      default:
        throw new Error(`the validator does not know ${keyword}`);
    }
  }
}

function isOfType(value: Json, type: string): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return isObject(value);
  if (type === "array") return Array.isArray(value);
  return type === "null" ? value === null : typeof value === type;
}

function isObject(value: Json): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function schemaOf(value: Json): JsonSchema {
  if (!isObject(value)) throw new Error("a schema must be an object");
  return value;
}

function listOf(value: Json): readonly Json[] {
  return Array.isArray(value) ? value : [value];
}

/** `#/$defs/NAME` */
function at(root: JsonSchema, reference: string): Json {
  return schemaOf(root.$defs ?? {})[reference.replace("#/$defs/", "")] ?? null;
}
