// The names of programs whose command line decides what runs, for the kernel, which knows no command lines: see
// `CarrierNames` of src/sensor/prevention.
import { grammars } from "./interpreters.ts";
import { multiCall, wrappers } from "./wrappers.ts";

/** What may stand between an interpreter's name and its version: python3, ruby-3.1, php_8. */
const separators = ["", "-", "_"] as const;
const digits = "0123456789";

/**
 * Every name for which `readsCommandLine` can be true is one of `exact` or begins with one of `prefixes`; some others do so,
 * too, such as those of the linker beside those of the loader.
 */
export function carrierNames(): { readonly exact: readonly string[]; readonly prefixes: readonly string[] } {
  const interpreters = grammars.flatMap(({ names }) => names);
  return {
    exact: [...interpreters, ...wrappers.flatMap(({ names }) => names), ...multiCall],
    prefixes: [
      "ld",
      ...interpreters.flatMap((name) =>
        separators.flatMap((separator) => [...digits].map((digit) => `${name}${separator}${digit}`)),
      ),
    ],
  };
}
