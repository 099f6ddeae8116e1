// Regular expressions of RE2, which match in linear time: the texts and the expressions may be hostile.
import type { RE2JS } from "re2js";

type Library = typeof import("re2js");

let library: Library | undefined;

/** Loaded with the first expression: it takes 1.5 MB, and most processes have no expression. */
function loadedLibrary(): Library {
  const loaded: Library = library ?? require("re2js");
  library = loaded;
  return loaded;
}

/** `dotAll`: `.` matches line ends as well. Throws if `expression` is not one of RE2. */
export function compileRegularExpression(expression: string, dotAll = false): RE2JS {
  const { RE2JS } = loadedLibrary();
  return RE2JS.compile(expression, dotAll ? RE2JS.DOTALL : 0);
}

/** The expression that matches `text` and nothing else. */
export function quotedExpression(text: string): string {
  return loadedLibrary().RE2JS.quote(text);
}
