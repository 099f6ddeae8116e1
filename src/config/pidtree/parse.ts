// Parses the configuration file of pidtree-bcc: YAML 1.1, in which `!include FILE` stands for what that file holds.
import * as v from "valibot";
import type { ScalarTag } from "yaml";
import { parseYaml, type YamlOptions, type YamlResult } from "../yaml-file.ts";
import { type PidtreeConfig, pidtreeSchema } from "./schema.ts";

/** Includes within includes: deeper ones are most likely a circle. */
const DEEPEST = 8;

/**
 * The text of a file that `from` includes by `name`; undefined if it cannot be read, or is an address of the web, which is
 * not fetched.
 */
export type ReadInclude = (
  name: string,
  from: string,
) => { readonly file: string; readonly text: string } | undefined;

/** Parses `yaml`. `file` is used in errors, and by `read` for relative names. */
export function parsePidtree(yaml: string, file: string, read: ReadInclude): YamlResult<PidtreeConfig> {
  return parseYaml(yaml, file, pidtreeSchema, () => [], withIncludes(file, read, 0));
}

function withIncludes(file: string, read: ReadInclude, depth: number): YamlOptions {
  const include: ScalarTag = {
    tag: "!include",
    resolve(name, onError) {
      const found = depth < DEEPEST ? read(name, file) : undefined;
      const content =
        found === undefined
          ? undefined
          : parseYaml(
              found.text,
              found.file,
              v.unknown(),
              () => [],
              withIncludes(found.file, read, depth + 1),
            );
      if (content?.ok === true) return content.value;
      const [error] = content?.errors ?? [];
      if (error === undefined) onError(`cannot include ${name}: put its content here`);
      else onError(`${error.file}:${error.line}:${error.column}: ${error.message}`);
      return null;
    },
  };
  return { version: "1.1", customTags: (tags) => [...tags, include] };
}
