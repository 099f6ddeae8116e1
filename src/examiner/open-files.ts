// Opens files that the kernel is to recognise, and keeps them open until the warden has had their identities read.
import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats } from "node:fs";
import { ROOT_UID, WRITABLE_BY_OTHERS } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";
import type { OpenedPath } from "./protocol.ts";

/** fcntl.h: the descriptor stands for the file, and cannot read it. */
const O_PATH = 0o10_000_000;
/** Descriptors held at a time: a warden releases those of one question before it asks many more. */
const HELD = 2_048;

export class OpenFiles {
  private readonly root: string;
  /** Descriptors by question. */
  private readonly held = new Map<number, readonly number[]>();
  private count = 0;

  /** `root`: of the examined system; empty for the host's own. */
  constructor(root: string) {
    this.root = root;
  }

  get isEmpty(): boolean {
    return this.held.size === 0;
  }

  /** Answers a question. The descriptors stay open until `release`. */
  open(id: number, paths: readonly string[]): readonly OpenedPath[] {
    const files = paths.map(
      (path): OpenedPath => (this.count < HELD ? this.openFile(path) : { path, is: "unsafe" }),
    );
    this.held.set(
      id,
      files.flatMap(({ fd }) => fd ?? []),
    );
    return files;
  }

  release(id: number): void {
    for (const fd of this.held.get(id) ?? []) this.close(fd);
    this.held.delete(id);
  }

  releaseAll(): void {
    for (const id of [...this.held.keys()]) this.release(id);
  }

  private openFile(path: string): OpenedPath {
    const above = this.foldersAbove(path);
    if (above !== "root") return { path, is: above };
    const place = `${this.root}${path}`;
    let fd: number | undefined;
    try {
      fd = openSync(place, O_PATH | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const file = fstatSync(fd);
      // A link is never what the kernel runs, but what it leads to.
      if (!file.isFile()) return { path, is: "none" };
      if (!isRootsAlone(file)) return { path, is: "unsafe" };
      this.count += 1;
      const opened = { path, is: "file", fd } as const;
      fd = undefined;
      return opened;
    } catch (error) {
      return { path, is: isMissing(error) ? "none" : "unsafe" };
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  /**
   * Whether root alone decides which file is at the path. `none`: no file can be, because a folder is missing or is a link
   * and so never part of the path of what runs.
   */
  private foldersAbove(path: string): "root" | "none" | "unsafe" {
    for (let end = path.indexOf("/", 1); end !== -1; end = path.indexOf("/", end + 1)) {
      try {
        const folder = lstatSync(`${this.root}${path.slice(0, end)}`);
        if (!folder.isDirectory()) return "none";
        if (!isRootsAlone(folder)) return "unsafe";
      } catch (error) {
        return isMissing(error) ? "none" : "unsafe";
      }
    }
    return "root";
  }

  private close(fd: number): void {
    closeSync(fd);
    this.count -= 1;
  }
}

export function isRootsAlone({ uid, mode }: Stats): boolean {
  return uid === ROOT_UID && (mode & WRITABLE_BY_OTHERS) === 0;
}

export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}
