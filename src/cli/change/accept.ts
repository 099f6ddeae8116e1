// `change accept`: puts what was collected for a change into force, on the host that has collected it or on another one.
import { type BaselineFile, parseBaseline } from "../../baseline/baseline-file.ts";
import type { BaselineEntry } from "../../baseline/entry.ts";
import type { Config } from "../../config/config.ts";
import { anyFile, readCheckedFile } from "../../linux/root-file.ts";
import { digestOf, openSignature, SIGNATURE_LIMIT, signatureBeside } from "../../policy/signature.ts";
import { type ConfirmFlags, confirm, showEntries } from "../baseline/accept.ts";
import {
  baselineOf,
  isNewTo,
  mergedFile,
  readBytes,
  readInForce,
  readKnown,
  refusedFile,
  writeInForce,
} from "../baseline/store.ts";
import { readPublicKey, verifierOf } from "../keys.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import { loadBaseline } from "../request-warden.ts";
import { collectedFor } from "./collected.ts";

export interface AcceptChangeFlags extends ConfirmFlags {
  readonly id?: string;
}

export async function acceptChange(
  file: string | undefined,
  flags: AcceptChangeFlags,
  config: Config,
): Promise<void> {
  const { state_directory: stateDirectory } = config;
  const { id } = flags;
  const known = readKnown(stateDirectory);
  if (known === undefined)
    throw new CommandError(
      exitCodes.no,
      "no baseline is in force, to which the change could be added",
      "learn and accept one first: treewarden baseline learn --for 24h",
    );
  if ((file === undefined) === (id === undefined))
    throw new CommandError(exitCodes.usage, "either a file or --id must be given");
  const entries = await entriesOf(file, id, config);
  const before = baselineOf(known);
  showEntries(entries, before, flags);
  await confirm(entries, before, flags);
  const after = mergedFile(readInForce(stateDirectory), entries, undefined);
  writeInForce(stateDirectory, after);
  const added = entries.filter((entry) => isNewTo(before, entry)).length;
  warn(`${entries.length} trees of the change are in force, ${added} of them new`);
  await loadBaseline(stateDirectory);
}

async function entriesOf(
  file: string | undefined,
  id: string | undefined,
  config: Config,
): Promise<readonly BaselineEntry[]> {
  if (id !== undefined) return await collectedFor(id, config.state_directory);
  return exportedFile(file ?? "", config).entries;
}

/** A file that another host has exported. With `policy_keys` it must be signed with one of them. */
function exportedFile(path: string, { policy_keys: keyFiles }: Config): BaselineFile {
  const bytes = readBytes(path);
  if (bytes === undefined) throw new CommandError(exitCodes.usage, `there is no ${path}`);
  if (keyFiles.length > 0) checkSignature(path, bytes, keyFiles);
  const result = parseBaseline(bytes);
  if (result.ok) return result.value;
  throw refusedFile(path, result.errors);
}

function checkSignature(path: string, bytes: Uint8Array, keyFiles: readonly string[]): void {
  const keys = keyFiles.map((file) => {
    const key = readPublicKey(file, "to decide");
    if ("message" in key) throw new CommandError(exitCodes.usage, `${file}: ${key.message}`, key.fix);
    return key;
  });
  const signatureFile = signatureBeside(path);
  const content = readCheckedFile(signatureFile, anyFile(SIGNATURE_LIMIT));
  const refuse = (message: string): CommandError =>
    new CommandError(
      exitCodes.no,
      `not accepted: ${signatureFile} ${message}`,
      "export it with: treewarden change export --sign KEY",
    );
  if (!content.ok) throw refuse(content.problem.reason);
  const opened = openSignature(content.bytes, verifierOf(keys));
  if (!opened.ok) throw refuse(opened.message);
  const digest = digestOf(bytes);
  const isSigned = opened.statement.files.some(
    (signed) => signed.kind === "change" && signed.digest === digest,
  );
  if (!isSigned) throw refuse("is not the signature of this file");
}
