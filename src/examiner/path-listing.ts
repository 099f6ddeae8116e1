// Finds the files that paths of a baseline stand for: of any version, by listing folders of root's.
import { lstatSync, readdirSync } from "node:fs";
import { comparedChild, isAnyFolder, prefixesBelow } from "../baseline/path-pattern.ts";
import { isMissing, isRootsAlone } from "./open-files.ts";
import type { ListedPattern } from "./protocol.ts";

/** Names in a folder; no folder of programs has as many. */
const NAMES = 16_384;
/** Folders that may hold a file of one pattern, and its files: versions of one program beside each other. */
const FOLDERS = 256;
const FILES = 32;
/** Characters of all paths of one answer, which must fit into a packet. */
const CHARACTERS = 24_576;

/** The names in a folder, by their compared paths. */
interface Names {
  readonly all: readonly string[];
  readonly files: ReadonlyMap<string, readonly string[]>;
  readonly folders: ReadonlyMap<string, readonly string[]>;
}

interface Folder {
  readonly path: string;
  readonly compared: string;
}

const top: Folder = { path: "", compared: "" };

/** Others than root decide what is there, or it is too much to be listed. */
class Unlisted extends Error {}

/**
 * Lists what each pattern, a compared path, stands for. Those without `paths` cannot be listed: a folder is not root's
 * alone or cannot be read, or there are too many files. `root`: of the examined system, empty for the host's own.
 */
export function listPatterns(patterns: readonly string[], root: string): readonly ListedPattern[] {
  // Only while one question is answered, in which folders may change at any time.
  const known = new Map<string, Names>();
  let room = CHARACTERS;
  return patterns.map((pattern) => {
    try {
      const paths = filesOf(pattern, root, known);
      for (const path of paths) room -= path.length;
      return room < 0 ? { pattern } : { pattern, paths };
    } catch (error) {
      if (error instanceof Unlisted) return { pattern };
      throw error;
    }
  });
}

function filesOf(pattern: string, root: string, known: Map<string, Names>): string[] {
  const files: string[] = [];
  const folders: Folder[] = [top];
  for (const folder of folders) {
    const names = namesIn(folder, root, known);
    for (const name of names.files.get(pattern) ?? []) files.push(`${folder.path}/${name}`);
    for (const compared of prefixesBelow(pattern, folder.compared))
      for (const name of isAnyFolder(compared) ? names.all : (names.folders.get(compared) ?? [])) {
        const path = `${folder.path}/${name}`;
        if (isFolder(path, root)) folders.push({ path, compared });
      }
    if (folders.length > FOLDERS || files.length > FILES) throw new Unlisted();
  }
  return files.sort();
}

function namesIn({ path, compared }: Folder, root: string, known: Map<string, Names>): Names {
  const key = `${path}\u0000${compared}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const listed = namesOf(`${root}${path}/`);
  if (listed.length > NAMES) throw new Unlisted();
  const files = new Map<string, string[]>();
  const folders = new Map<string, string[]>();
  for (const name of listed) {
    const { file, folder } = comparedChild(name, path, compared);
    add(files, file, name);
    add(folders, folder, name);
  }
  const names: Names = { all: listed, files, folders };
  known.set(key, names);
  return names;
}

function add(map: Map<string, string[]>, key: string, name: string): void {
  const names = map.get(key);
  if (names === undefined) map.set(key, [name]);
  else names.push(name);
}

function namesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw new Unlisted();
  }
}

/** Throws if it is one that others than root can change. A link is never part of the path of what runs. */
function isFolder(path: string, root: string): boolean {
  try {
    const folder = lstatSync(`${root}${path}`);
    if (!folder.isDirectory()) return false;
    if (isRootsAlone(folder)) return true;
  } catch (error) {
    if (isMissing(error)) return false;
  }
  throw new Unlisted();
}
