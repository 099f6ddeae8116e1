// `treewarden sign-release`: signs all files in a folder, for `treewarden verify-release`.
import { join } from "node:path";
import { Command } from "commander";
import { printable } from "../linux/text.ts";
import { formatSignature } from "../policy/signature.ts";
import { writeWhole } from "./baseline/store.ts";
import { cryptography, readPrivateKey } from "./keys.ts";
import { CommandError, exitCodes } from "./output.ts";
import { releaseFileDigest, releaseFileNames } from "./release/files.ts";
import { formatReleaseStatement, isReleaseFileName, RELEASE_SIGNATURE } from "./release/statement.ts";

export function signReleaseCommand(): Command {
  return new Command("sign-release")
    .description(`sign the files of a release: writes ${RELEASE_SIGNATURE} beside them`)
    .argument("<folder>", "the folder with all files of the release, and nothing else")
    .requiredOption("--key <file>", "private key, made by treewarden policy keygen")
    .action((folder: string, { key }: { readonly key: string }) => signRelease(folder, key));
}

function signRelease(folder: string, keyFile: string): void {
  const key = readPrivateKey(keyFile);
  if ("message" in key) throw new CommandError(exitCodes.usage, `${key.file}: ${key.message}`, key.fix);
  const digests = new Map<string, string>();
  for (const name of releaseFileNames(folder)) {
    const digest = isReleaseFileName(name) ? releaseFileDigest(folder, name) : undefined;
    if (digest === undefined)
      throw new CommandError(
        exitCodes.usage,
        `${join(folder, name)} must be a regular file with a plain name`,
        "remove it from the release",
      );
    digests.set(name, digest);
  }
  if (digests.size === 0) throw new CommandError(exitCodes.usage, `${folder} has no files to sign`);
  const statement = formatReleaseStatement({ signed: Math.floor(Date.now() / 1000), digests });
  const signature = cryptography().sign(null, Buffer.from(statement), key);
  const path = join(folder, RELEASE_SIGNATURE);
  writeWhole(path, formatSignature(statement, signature), 0o644);
  process.stdout.write(`${printable(path)}: ${digests.size} files\n`);
}
