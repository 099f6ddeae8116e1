// Converts a schema of valibot to JSON Schema (draft 2020-12), for editors. What JSON Schema cannot express, such as
// checks by a function, is left out: treewarden itself checks the file.
import * as v from "valibot";

export type Json = string | number | boolean | null | readonly Json[] | JsonSchema;
export interface JsonSchema {
  readonly [keyword: string]: Json;
}

/** The parts of valibot's schemas and actions that are read here. */
const Part = v.looseObject({
  type: v.string(),
  pipe: v.optional(v.array(v.unknown())),
  entries: v.optional(v.record(v.string(), v.unknown())),
  options: v.optional(v.array(v.unknown())),
  requirement: v.optional(v.unknown()),
  getter: v.optional(v.function()),
});
type Part = v.InferOutput<typeof Part>;

/** Values by which a lazy schema may decide what it is. */
const probes: readonly unknown[] = [[], {}, "", 0, true];

/**
 * The JSON Schema of `schema`. `named`: schemas that have a definition of their own, with the reference to it. Throws if a
 * schema is of a kind that is not converted yet.
 */
export function jsonSchema(schema: unknown, named: ReadonlyMap<unknown, JsonSchema> = new Map()): JsonSchema {
  const reference = named.get(schema);
  if (reference !== undefined) return reference;
  const part = v.parse(Part, schema);
  const [first, ...actions] = part.pipe ?? [];
  let made = first === undefined || first === schema ? ofType(part, named) : jsonSchema(first, named);
  for (const action of actions) made = { ...made, ...ofAction(v.parse(Part, action), made) };
  return made;
}

function ofType(part: Part, named: ReadonlyMap<unknown, JsonSchema>): JsonSchema {
  const convert = (schema: unknown): JsonSchema => jsonSchema(schema, named);
  switch (part.type) {
    case "string":
    case "number":
    case "boolean":
    case "null":
      return { type: part.type };
    case "unknown":
      return {};
    case "literal":
      return { const: literalOf(part.literal) };
    case "picklist":
      return { enum: (part.options ?? []).map(literalOf) };
    case "union":
      return { anyOf: (part.options ?? []).map(convert) };
    case "nullable":
      return { anyOf: [convert(part.wrapped), { type: "null" }] };
    case "optional":
      return withDefault(convert(part.wrapped), part.default);
    case "array":
      return { type: "array", items: convert(part.item) };
    case "record":
      return { type: "object", propertyNames: convert(part.key), additionalProperties: convert(part.value) };
    case "strict_object":
      return objectOf(part.entries ?? {}, convert);
    case "lazy":
      return alternatives(probes.map((probe) => part.getter?.(probe)).map(convert));
    default:
      throw new Error(`valibot's ${part.type} must be converted to JSON Schema in json-schema.ts`);
  }
}

function objectOf(
  entries: Readonly<Record<string, unknown>>,
  convert: (schema: unknown) => JsonSchema,
): JsonSchema {
  const names = Object.keys(entries);
  const required = names.filter((name) => v.parse(Part, entries[name]).type !== "optional");
  return {
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, convert(entries[name])])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

/** A pipe's further restrictions. Checks by functions and changes of the value have none here. */
function ofAction({ type, requirement }: Part, { type: of }: JsonSchema): JsonSchema {
  const isList = of === "array";
  switch (type) {
    case "regex":
      if (!(requirement instanceof RegExp) || requirement.flags !== "")
        throw new Error("a regular expression with flags cannot be converted to JSON Schema");
      return { pattern: requirement.source };
    case "starts_with":
      return { pattern: `^${String(requirement)}` };
    case "integer":
      return { type: "integer" };
    case "non_empty":
      return isList ? { minItems: 1 } : { minLength: 1 };
    case "min_length":
      return { [isList ? "minItems" : "minLength"]: literalOf(requirement) };
    case "max_length":
      return { [isList ? "maxItems" : "maxLength"]: literalOf(requirement) };
    case "min_value":
      return { minimum: literalOf(requirement) };
    case "max_value":
      return { maximum: literalOf(requirement) };
    case "check":
    case "raw_check":
      return {};
    default:
      throw new Error(`valibot's ${type} must be converted to JSON Schema in json-schema.ts`);
  }
}

function withDefault(schema: JsonSchema, value: unknown): JsonSchema {
  const isSection = typeof value === "object" && value !== null && !Array.isArray(value);
  return value === undefined || isSection ? schema : { ...schema, default: jsonOf(value) };
}

function alternatives(schemas: readonly JsonSchema[]): JsonSchema {
  const distinct = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()];
  const [only] = distinct;
  return distinct.length === 1 && only !== undefined ? only : { anyOf: distinct };
}

function literalOf(value: unknown): string | number | boolean {
  return v.parse(v.union([v.string(), v.number(), v.boolean()]), value);
}

function jsonOf(value: unknown): Json {
  return Array.isArray(value) ? value.map(jsonOf) : literalOf(value);
}
