// `change export`: what was collected for a change, as a file that other hosts accept.
import { hostname } from "node:os";
import { formatBaseline } from "../../baseline/baseline-file.ts";
import type { Config } from "../../config/config.ts";
import { unambiguous } from "../../linux/text.ts";
import { digestOf, formatSignature, formatStatement, signatureBeside } from "../../policy/signature.ts";
import { nowSeconds } from "../baseline/entry-output.ts";
import { deliver } from "../baseline/files.ts";
import { headerOf, writeWhole } from "../baseline/store.ts";
import { cryptography, readPrivateKey } from "../keys.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import { collectedFor } from "./collected.ts";

export interface ExportChangeFlags {
  readonly id: string;
  readonly out?: string;
  /** A file with a private key. */
  readonly sign?: string;
}

export async function exportChange(flags: ExportChangeFlags, config: Config): Promise<void> {
  const { id, out, sign } = flags;
  if (sign !== undefined && out === undefined)
    throw new CommandError(exitCodes.usage, "--sign needs --out: the signature is written beside the file");
  const key = sign === undefined ? undefined : readPrivateKey(sign);
  if (key !== undefined && "message" in key)
    throw new CommandError(exitCodes.usage, `${key.file}: ${key.message}`, key.fix);
  const entries = await collectedFor(id, config.state_directory);
  const now = nowSeconds();
  // A role would keep the file from hosts of another role; what the change is for is the operator's to know.
  const header = headerOf(entries, [unambiguous(hostname())], undefined, now);
  const text = formatBaseline({ header, entries });
  deliver(text, out);
  if (key === undefined || out === undefined) return;
  const files = [{ kind: "change", role: id, digest: digestOf(Buffer.from(text)) }] as const;
  const statement = formatStatement({ role: id, signed: now, files });
  const signature = cryptography().sign(null, Buffer.from(statement), key);
  writeWhole(signatureBeside(out), formatSignature(statement, signature), 0o644);
  warn(`${signatureBeside(out)}: ${entries.length} trees of change ${id}`);
}
