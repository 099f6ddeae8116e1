// The base system: the ordinary tools that every server has, which a tree calls `base`.
import listed from "./base-list.json" with { type: "json" };
import { exceptions } from "./exceptions.ts";
import { directoryOf, mergedPath, nameOf } from "./path.ts";

/** Which files are the base system's. */
export interface BaseSystem {
  /** Maps an absolute path (`/bin`, `/sbin` and `/lib*` merged into `/usr`) to a short text on its origin. */
  readonly files: ReadonlyMap<string, string>;
}

function embedded(): BaseSystem {
  const files = new Map<string, string>();
  for (const entry of listed.packages) {
    for (const program of entry.programs)
      files.set(`/usr/bin/${program}`, `${entry.package}, ${entry.priority}`);
  }
  return { files };
}

/**
 * For hosts without a package database: the programs of the packages that Debian marks essential, required, important
 * or standard.
 */
export const embeddedBase: BaseSystem = embedded();

/** Whether a program belongs to the base system, and the reason, for `explain`. */
export interface BaseVerdict {
  readonly base: boolean;
  readonly why: string;
}

const serviceDirectory = /^\/(?:usr\/(?:local\/)?)?sbin$/;

/**
 * Whether the program at `path`, whose folded name is `name`, is an ordinary tool of the base system. Services and
 * administrators' tools (`sbin`) are not, nor are the programs of `exceptions.ts`.
 */
export function judgeBase(path: string, name: string, base: BaseSystem): BaseVerdict {
  const reason = exceptions.get(name) ?? exceptions.get(nameOf(path));
  if (reason !== undefined) return { base: false, why: `keeps its name: ${reason}` };
  if (serviceDirectory.test(directoryOf(path)))
    return { base: false, why: "keeps its name: a service or an administrator's tool" };
  const origin = base.files.get(mergedPath(path));
  return origin === undefined
    ? { base: false, why: "not of the base system" }
    : { base: true, why: `base system: ${origin}` };
}
