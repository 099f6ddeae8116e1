// The files that a role's file names: digests of contents, and lists of networks.
import { join } from "node:path";
import type { Node } from "jsonc-parser";
import type { FileError } from "../baseline/baseline-file.ts";
import { hintOf, messageOf } from "../vocabulary/errors.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { DIGESTS_FILE_LIMIT, isContentDigest, readDigests } from "./content-digests.ts";
import { type Document, elements, nodeAt, type PolicyError } from "./document.ts";
import { LIST_FILE_LIMIT, readingListFile } from "./list-file.ts";
import type { RoleFile } from "./schema.ts";
import { digestOf, type SignedFile } from "./signature.ts";

export interface NamedFilesInputs {
  readonly role: string;
  /** What relative names are relative to; undefined for a role inside the binary, which has no files. */
  readonly folder: string | undefined;
  /** As `PolicySources.read`. */
  readonly read: (path: string, limit: number) => Uint8Array | undefined;
  /** Whether a file of this digest is as it was signed, or need not be. */
  readonly covers: (digest: string) => boolean;
  /** Errors in the files. */
  readonly failures: PolicyError[];
}

type Lists = NonNullable<RoleFile["lists"]>;
type Fail = (message: string, fix?: string) => void;

export class NamedFiles {
  /** The files that were read, as they are signed. */
  readonly files: SignedFile[] = [];
  private readonly inputs: NamedFilesInputs;

  constructor(inputs: NamedFilesInputs) {
    this.inputs = inputs;
  }

  /** `sha256:` and 64 hexadecimal digits for each content of `items`, which are digests or files of them. */
  *readingDigests(items: readonly string[], document: Document, root: Node): Steps<readonly string[]> {
    const digests: string[] = [];
    const nodes = elements(nodeAt(root, ["digests"]));
    for (const [i, item] of items.entries()) {
      if (isContentDigest(item)) digests.push(item);
      else {
        const fail = failAt(document, nodes[i] ?? root);
        const found = this.bytesOf(item, DIGESTS_FILE_LIMIT, "a file of sha256sum, or sha256:DIGEST", fail);
        const result = found === undefined ? undefined : readDigests(found.bytes);
        if (found !== undefined && result !== undefined && this.isGood(found, "digests", result))
          digests.push(...result.digests);
      }
      yield;
    }
    return digests;
  }

  /** The same lists, with the networks of a file in place of its name. */
  *readingLists(lists: Lists, document: Document, root: Node): Steps<Lists> {
    const read: Lists = {};
    for (const [name, entry] of Object.entries(lists)) {
      if (Array.isArray(entry) || "append" in entry) {
        read[name] = entry;
        continue;
      }
      const fail = failAt(document, nodeAt(root, ["lists", name]));
      const found = this.bytesOf(entry.file, LIST_FILE_LIMIT, "a file with a network on each line", fail);
      const result = found === undefined ? undefined : yield* readingListFile(found.bytes);
      const isGood = found !== undefined && result !== undefined && this.isGood(found, "list", result);
      read[name] = isGood && result?.ok === true ? [...result.items] : [];
      yield;
    }
    return read;
  }

  /** Adds the file to those that were read, or reports its errors. */
  private isGood<T extends { readonly ok: true }>(
    { path, digest }: { readonly path: string; readonly digest: string },
    kind: SignedFile["kind"],
    result: T | { readonly ok: false; readonly errors: readonly FileError[] },
  ): result is T {
    const { role, failures } = this.inputs;
    if (result.ok) {
      this.files.push({ kind, role, digest });
      return true;
    }
    for (const { line, message } of result.errors)
      failures.push({ file: path, line, column: 1, message, fix: undefined });
    return false;
  }

  /** The content of the file, if it is as it was signed; undefined after reporting why not. `format`: what it must be. */
  private bytesOf(
    name: string,
    limit: number,
    format: string,
    fail: Fail,
  ): { readonly path: string; readonly bytes: Uint8Array; readonly digest: string } | undefined {
    const { folder, read, covers } = this.inputs;
    if (folder === undefined) {
      fail("an embedded role has no files beside it");
      return undefined;
    }
    const path = name.startsWith("/") ? name : join(folder, name);
    let bytes: Uint8Array | undefined;
    try {
      bytes = read(path, limit);
    } catch (error) {
      fail(`${path} ${messageOf(error)}`, hintOf(error));
      return undefined;
    }
    if (bytes === undefined) {
      fail(`there is no ${path}`, format);
      return undefined;
    }
    const digest = digestOf(bytes);
    if (covers(digest)) return { path, bytes, digest };
    fail(`${path} is not as it was signed`, "sign the policy again, or put back what was signed");
    return undefined;
  }
}

function failAt(document: Document, node: Node): Fail {
  return (message, fix) => document.report(node, message, fix);
}
