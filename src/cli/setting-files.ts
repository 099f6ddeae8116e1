// Where configuration, policies and keys are read from: the disk, or the copies of what was last in force.
import { type FileContent, type FileRules, readCheckedFile } from "../linux/root-file.ts";
import type { LastGood } from "../warden/last-good.ts";

/** Reads one file, as `readCheckedFile` does. */
export type ReadSettingFile = (path: string, rules: FileRules) => FileContent;

export interface SettingFiles {
  readonly read: ReadSettingFile;
  /** The policies by role or file; undefined: those that the configuration names, or else the installed ones. */
  readonly policies: readonly string[] | undefined;
}

export const filesOnDisk: SettingFiles = { read: readCheckedFile, policies: undefined };

/** The files on disk. Each file that is read is copied into `copies`, by its path. */
export function copyingFiles(copies: Map<string, Buffer>): SettingFiles {
  return {
    read(path, rules) {
      const content = readCheckedFile(path, rules);
      if (content.ok) copies.set(path, content.bytes);
      return content;
    },
    policies: undefined,
  };
}

/** The copies of what was last in force. Owner and mode are not checked again: they were when the copies were made. */
export function keptFiles({ files, policies }: LastGood): SettingFiles {
  const copies = new Map(files);
  return {
    read(path, { limit }) {
      const copy = copies.get(path);
      if (copy === undefined) return { ok: false, problem: { kind: "missing", reason: "was not in force" } };
      const bytes = Buffer.from(copy, "base64");
      if (bytes.length > limit)
        return { ok: false, problem: { kind: "too_large", reason: `is larger than ${limit} bytes` } };
      return { ok: true, bytes };
    },
    policies,
  };
}
