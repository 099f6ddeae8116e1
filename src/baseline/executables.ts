// Which files a tree's leaf was seen to run: path, package and digest, as far as they are known.
import { unambiguous } from "../linux/text.ts";
import { compareTexts } from "./key.ts";

/** One executable of a tree. What is undefined is not known. */
export interface Executable {
  /** Absolute, as it was run, escaped as every text of a baseline; for a memfd `memfd:NAME`. */
  readonly path: string;
  /** The distribution's package that owns the file; null if none does. */
  readonly package: string | null | undefined;
  /** It is known not to be as its package has it. */
  readonly modified: boolean;
  /** Of its content: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
}

/** Executables remembered of a tree: beyond it the first in order stay. */
export const EXECUTABLES_LIMIT = 8;
/** What is longer is not kept: no package brings it. */
export const EXECUTABLE_PATH_LIMIT = 512;
const PACKAGE_LIMIT = 255;

/** An executable out of what was read; undefined for a path that is not kept. */
export function executableOf(
  path: string,
  known: {
    readonly package?: string | null | undefined;
    readonly modified?: boolean | undefined;
    readonly digest?: string | undefined;
  } = {},
): Executable | undefined {
  const kept = escaped(path);
  if (kept.length > EXECUTABLE_PATH_LIMIT) return undefined;
  const { modified, digest } = known;
  const owner = typeof known.package === "string" ? packageText(known.package) : known.package;
  return {
    path: kept,
    package: owner,
    modified: modified === true && typeof owner === "string",
    digest: digest !== undefined && isDigest(digest) ? digest : undefined,
  };
}

/** A space divides executables and a comma their parts. */
function escaped(text: string): string {
  return unambiguous(text).replaceAll(" ", "\\x20");
}

function packageText(name: string): string | undefined {
  const text = escaped(name).replaceAll(",", "\\x2c").replaceAll("!", "\\x21");
  return text === "" || text === "-" || text.length > PACKAGE_LIMIT ? undefined : text;
}

/** `PATH,PACKAGE,DIGEST`: package `-` if not known, `!` if none owns it, `nginx!` if it is not as nginx has it. */
export function executableText({ path, package: owner, modified, digest }: Executable): string {
  const named = owner === undefined ? "-" : owner === null ? "!" : modified ? `${owner}!` : owner;
  return `${path},${named},${digest ?? "-"}`;
}

/** Undefined if `text` is not as `executableText` writes it. */
export function parseExecutable(text: string): Executable | undefined {
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

/** As one text: divided by a space, `-` if there is none. */
export function executablesText(executables: readonly Executable[]): string {
  return executables.length === 0 ? "-" : executables.map(executableText).join(" ");
}

/** Ascending, each once; undefined if `text` is not as `executablesText` writes it. */
export function parseExecutables(text: string): readonly Executable[] | undefined {
  if (text === "-") return [];
  const found: Executable[] = [];
  for (const part of text.split(" ", EXECUTABLES_LIMIT + 1)) {
    const one = parseExecutable(part);
    if (one === undefined) return undefined;
    found.push(one);
  }
  return executablesText(joinExecutables(found, [])) === text ? found : undefined;
}

/** Both sets, ascending by their texts, each once; what says less of a file than another one does is left out. */
export function joinExecutables(a: readonly Executable[], b: readonly Executable[]): readonly Executable[] {
  const all = new Map<string, Executable>();
  for (const one of [...a, ...b]) all.set(executableText(one), one);
  return [...all]
    .filter(([text, one]) => ![...all].some(([other, more]) => other !== text && saysMore(more, one)))
    .sort(([x], [y]) => compareTexts(x, y))
    .slice(0, EXECUTABLES_LIMIT)
    .map(([, one]) => one);
}

function saysMore(more: Executable, less: Executable): boolean {
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
