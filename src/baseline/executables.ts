// The files that a tree's leaf was observed to run: path, package and digest, as far as they are known.
import { unambiguous } from "../linux/text.ts";
import { compareTexts } from "./compare-texts.ts";

/** One executable of a tree. An undefined property is unknown. */
export interface Executable {
  /** Absolute path as it was run, escaped like every text of a baseline; `memfd:NAME` for a memfd. */
  readonly path: string;
  /** The distribution's package that owns the file; null if no package does. */
  readonly package: string | null | undefined;
  /** Whether the file is known to differ from what its package installed. */
  readonly modified: boolean;
  /** Digest of its content: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
}

/** Maximum number of executables kept for a tree: first one of each path, then further ones, each in order. */
export const EXECUTABLES_LIMIT = 8;
/** Longer paths, in characters, are not kept; no package has such a path. */
const EXECUTABLE_PATH_LIMIT = 512;
const PACKAGE_LIMIT = 255;

/** An executable from its path and its examination; undefined if the path is too long to be kept. */
export function executableOf(
  path: string,
  known: {
    readonly package?: string | null | undefined;
    readonly modified?: boolean | undefined;
    readonly digest?: string | undefined;
  } = {},
): Executable | undefined {
  const escapedPath = escaped(path);
  if (escapedPath.length > EXECUTABLE_PATH_LIMIT) return undefined;
  const { modified, digest } = known;
  const owner = typeof known.package === "string" ? packageText(known.package) : known.package;
  return {
    path: escapedPath,
    package: owner,
    modified: modified === true && typeof owner === "string",
    digest: digest !== undefined && isDigest(digest) ? digest : undefined,
  };
}

/** Escapes the space, which separates executables. Package names also escape `,` and `!`. */
function escaped(text: string): string {
  return unambiguous(text).replaceAll(" ", "\\x20");
}

function packageText(name: string): string | undefined {
  const text = escaped(name).replaceAll(",", "\\x2c").replaceAll("!", "\\x21");
  return text === "" || text === "-" || text.length > PACKAGE_LIMIT ? undefined : text;
}

/** `PATH,PACKAGE,DIGEST`. The package is `-` if unknown, `!` if there is none, `nginx!` if the file was modified. */
export function executableText({ path, package: owner, modified, digest }: Executable): string {
  const named = owner === undefined ? "-" : owner === null ? "!" : modified ? `${owner}!` : owner;
  return `${path},${named},${digest ?? "-"}`;
}

/** Parses the output of `executableText`; undefined for any other text. */
function parseExecutable(text: string): Executable | undefined {
  const [, path = "", name = "", modified, digest = ""] =
    /^((?:\/|memfd:)[^ ]*),(-|!|[^ ,!]+?)(!?),(-|sha256:[0-9a-f]{64})$/.exec(text) ?? [];
  if (path === "" || path.length > EXECUTABLE_PATH_LIMIT || name.length > PACKAGE_LIMIT) return undefined;
  const isNamed = name !== "-" && name !== "!";
  if (!isNamed && modified === "!") return undefined;
  return {
    path,
    package: isNamed ? name : name === "!" ? null : undefined,
    modified: modified === "!",
    digest: digest === "-" ? undefined : digest,
  };
}

/** The executables as one text, separated by spaces; `-` if there are none. */
export function executablesText(executables: readonly Executable[]): string {
  return executables.length === 0 ? "-" : executables.map(executableText).join(" ");
}

/** Parses the output of `executablesText`; undefined for any other text. */
export function parseExecutables(text: string): readonly Executable[] | undefined {
  if (text === "-") return [];
  const executables: Executable[] = [];
  for (const part of text.split(" ", EXECUTABLES_LIMIT + 1)) {
    const executable = parseExecutable(part);
    if (executable === undefined) return undefined;
    executables.push(executable);
  }
  return executablesText(joinExecutables(executables, [])) === text ? executables : undefined;
}

/** The union of both sets, ascending by text. Executables of which the other set has more details are left out. */
export function joinExecutables(a: readonly Executable[], b: readonly Executable[]): readonly Executable[] {
  const all = new Map<string, Executable>();
  for (const executable of [...a, ...b]) all.set(executableText(executable), executable);
  const kept = [...all]
    .filter(([text, less]) => ![...all].some(([key, more]) => key !== text && isMoreDetailed(more, less)))
    .sort(([x], [y]) => compareTexts(x, y))
    .map(([, executable]) => executable);
  return kept.length <= EXECUTABLES_LIMIT ? kept : withMostPaths(kept);
}

/** The first executables of each path: paths decide what is known, and must not be displaced by further contents. */
function withMostPaths(sorted: readonly Executable[]): readonly Executable[] {
  const ranks = new Map<Executable, number>();
  const perPath = new Map<string, number>();
  for (const executable of sorted) {
    const rank = perPath.get(executable.path) ?? 0;
    perPath.set(executable.path, rank + 1);
    ranks.set(executable, rank);
  }
  const rankOf = (executable: Executable): number => ranks.get(executable) ?? 0;
  // Sorting is stable: those of one rank stay in order.
  const first = new Set([...sorted].sort((a, b) => rankOf(a) - rankOf(b)).slice(0, EXECUTABLES_LIMIT));
  return sorted.filter((executable) => first.has(executable));
}

/** Whether `more` has every detail of `less`, for the same file. */
function isMoreDetailed(more: Executable, less: Executable): boolean {
  const sameOwner = more.package === less.package && more.modified === less.modified;
  return (
    more.path === less.path &&
    (less.package === undefined || sameOwner) &&
    (less.digest === undefined || less.digest === more.digest)
  );
}

/** `sha256:` and 64 hexadecimal digits. */
export function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}
