// The names in a schema of valibot: of all settings, and of those beside one that there is not.
import * as v from "valibot";

/** The parts of a schema that can lead to a section. */
const Nesting = v.looseObject({
  entries: v.optional(v.record(v.string(), v.unknown())),
  wrapped: v.optional(v.unknown()),
  item: v.optional(v.unknown()),
  getter: v.optional(v.function()),
});

/** The entries of a section, which may be optional, an item of a list, or one of several alternatives. */
function entriesOf(schema: unknown, inLists: boolean): Readonly<Record<string, unknown>> | undefined {
  const { entries, wrapped, item, getter } = v.parse(Nesting, schema);
  if (entries !== undefined) return entries;
  if (wrapped !== undefined) return entriesOf(wrapped, inLists);
  if (!inLists) return undefined;
  if (item !== undefined) return entriesOf(item, inLists);
  return getter === undefined ? undefined : entriesOf(getter({}), inLists);
}

/** The names of all settings below `schema`, for example `kill.max_per_minute`, in its order. */
export function settingNamesIn(schema: unknown, prefix = ""): readonly string[] {
  return Object.entries(entriesOf(schema, false) ?? {}).flatMap(([name, inner]) =>
    entriesOf(inner, false) === undefined ? [prefix + name] : settingNamesIn(inner, `${prefix}${name}.`),
  );
}

/** The names that the section at `path` may have; the last step of the path is a name in it. */
export function namesBeside(schema: unknown, path: readonly (string | number)[]): readonly string[] {
  let entries = entriesOf(schema, true) ?? {};
  for (const step of path.slice(0, -1)) {
    if (typeof step === "number") continue;
    entries = entriesOf(entries[step] ?? {}, true) ?? {};
  }
  return Object.keys(entries);
}
