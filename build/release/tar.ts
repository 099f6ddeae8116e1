// Writes tar archives that depend on their content alone (POSIX.1-2017 pax, ustar format): sorted, root's, of one time.

export interface ArchiveFile {
  /** Without a leading slash. */
  readonly path: string;
  readonly mode: number;
  /** The content of a file, the target of a symbolic link, nothing for a folder. */
  readonly content: Uint8Array | { readonly link: string } | "folder";
}

const BLOCK = 512;
/** The longest name and the longest prefix of a header. */
const [NAME, PREFIX] = [100, 155];

/** The archive with the files and every folder above them. `time`: seconds since the epoch. Throws if a path is too long. */
export function tarArchive(files: readonly ArchiveFile[], time: number): Uint8Array {
  const folders = new Set(files.flatMap(({ path }) => parentsOf(path)));
  const given = new Set(files.map(({ path }) => path));
  const all: readonly ArchiveFile[] = [
    ...files,
    ...[...folders]
      .filter((path) => !given.has(path))
      .map((path) => ({ path, mode: 0o755, content: "folder" as const })),
  ];
  // By code units, as the locale of the host must not matter; a folder comes before what is in it.
  const sorted = all.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const parts = sorted.flatMap((file) => {
    const content = file.content instanceof Uint8Array ? file.content : new Uint8Array();
    return [header(file, content.length, time), content, new Uint8Array(padding(content.length))];
  });
  return Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]);
}

function parentsOf(path: string): readonly string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, i) => names.slice(0, i + 1).join("/"));
}

function padding(length: number): number {
  return (BLOCK - (length % BLOCK)) % BLOCK;
}

function header({ path, mode, content }: ArchiveFile, size: number, time: number): Uint8Array {
  const isFolder = content === "folder";
  const { name, prefix } = splitPath(isFolder ? `${path}/` : path);
  const block = new Uint8Array(BLOCK);
  const text = (at: number, value: string): void => block.set(new TextEncoder().encode(value), at);
  const octal = (at: number, length: number, value: number): void =>
    text(at, `${value.toString(8).padStart(length - 1, "0")}\0`);
  const isLink = typeof content === "object" && "link" in content;
  text(0, name);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, size);
  octal(136, 12, time);
  text(156, isFolder ? "5" : isLink ? "2" : "0");
  if (isLink) text(157, content.link);
  text(257, "ustar\u000000");
  text(265, "root");
  text(297, "root");
  text(345, prefix);
  // The checksum is computed with blanks in its own place.
  text(148, " ".repeat(8));
  text(
    148,
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
  );
  return block;
}

function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (path.length <= NAME) return { name: path, prefix: "" };
  const at = path.indexOf("/", path.length - NAME - 1);
  if (at < 0 || at > PREFIX || at === path.length - 1) throw new RangeError(`${path} is too long for ustar`);
  return { name: path.slice(at + 1), prefix: path.slice(0, at) };
}
