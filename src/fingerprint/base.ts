// The base system: the ordinary tools that every server has, which a tree calls `base`.
import { mergedPath } from "./path.ts";

/** Which files are the base system's. */
export interface BaseSystem {
  /** Absolute paths, `/bin`, `/sbin` and `/lib*` merged into `/usr`. */
  readonly files: ReadonlySet<string>;
}

const names =
  "bash cat cp cut dash date dirname echo env false find grep head ls mkdir mv ps readlink rm sed seq sh sleep sort stat tail test timeout touch tr true uname wc xargs";

/** For hosts without a package database. */
export const embeddedBase: BaseSystem = {
  files: new Set(names.split(" ").map((name) => `/usr/bin/${name}`)),
};

/** Whether the program at `path` is an ordinary tool of the base system. */
export function isBase(path: string, base: BaseSystem): boolean {
  return base.files.has(mergedPath(path));
}
