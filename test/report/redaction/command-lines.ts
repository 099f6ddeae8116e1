// Command lines with secrets, and command lines that an incident needs as they are.
import * as v from "valibot";
import listed from "./command-lines.json" with { type: "json" };

/** `secrets`: the parts that must not leave. If it is empty, the command line must not change. */
export const commandLines = v.parse(
  v.array(
    v.object({ args: v.array(v.string()), secrets: v.array(v.string()), note: v.optional(v.string()) }),
  ),
  listed,
);
export const withSecrets = commandLines.filter(({ secrets }) => secrets.length > 0);
export const harmless = commandLines.filter(({ secrets }) => secrets.length === 0);
