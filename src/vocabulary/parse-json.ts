// JSON from outside, checked against a schema.
import * as v from "valibot";

/** A whole number from 0 on that a JavaScript number holds exactly. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What `text` holds as JSON; undefined if it is no JSON or not as `schema` demands. */
export function parseJson<const TSchema extends v.GenericSchema>(
  schema: TSchema,
  text: string,
): v.InferOutput<TSchema> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = v.safeParse(schema, value);
  return result.success ? result.output : undefined;
}
