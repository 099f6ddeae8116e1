// `treewarden verify-release`: checks that the files in a folder are those that somebody with a trusted key has signed.
import { join } from "node:path";
import { Command } from "commander";
import { timeText } from "../baseline/baseline-file.ts";
import { anyFile, readCheckedFile } from "../linux/root-file.ts";
import { printable } from "../linux/text.ts";
import { SIGNATURE_LIMIT } from "../policy/signature.ts";
import { readPublicKey, verifierOf } from "./keys.ts";
import { CommandError, exitCodes } from "./output.ts";
import { releaseFileDigest, releaseFileNames } from "./release/files.ts";
import { openReleaseSignature, RELEASE_SIGNATURE, type ReleaseStatement } from "./release/statement.ts";

const examples = `
Examples:
  treewarden verify-release ./release --key release.pub           every file, and no other
  treewarden verify-release ./release --key release.pub --some    those that were downloaded`;

const KEY_FIX = "the public key comes with the release, from who publishes it";

interface VerifyFlags {
  readonly key: readonly string[];
  readonly some?: boolean;
}

export function verifyReleaseCommand(): Command {
  return new Command("verify-release")
    .description(
      "check the files of a release against their signature; exit code 1 if one is not as it was signed",
    )
    .argument("<folder>", `the folder with the files and ${RELEASE_SIGNATURE}`)
    .requiredOption("--key <file...>", "public keys that are trusted (required)")
    .option("--some", "not all files need to be there, for example only the package for this host")
    .addHelpText("after", examples)
    .action((folder: string, flags: VerifyFlags) => verifyRelease(folder, flags));
}

function verifyRelease(folder: string, { key: keyFiles, some }: VerifyFlags): void {
  const keys = keyFiles.map((file) => {
    const key = readPublicKey(file, "to show");
    if ("message" in key) throw new CommandError(exitCodes.usage, `${key.file}: ${key.message}`, KEY_FIX);
    return key;
  });
  const path = join(folder, RELEASE_SIGNATURE);
  const present = releaseFileNames(folder);
  const content = readCheckedFile(path, anyFile(SIGNATURE_LIMIT));
  if (!content.ok) throw new CommandError(exitCodes.no, `${path} ${content.problem.reason}`);
  const opened = openReleaseSignature(content.bytes, verifierOf(keys));
  if (!opened.ok) throw new CommandError(exitCodes.no, `${path} ${opened.message}`, KEY_FIX);
  const problems = problemsOf(folder, present, opened.statement, some === true);
  if (problems.length > 0)
    throw new CommandError(exitCodes.no, problems, "do not install it; get the release again");
  process.stdout.write(
    `${printable(folder)}: ${present.length} of ${opened.statement.digests.size} files, ` +
      `signed ${timeText(opened.statement.signed)}\n`,
  );
}

/** What is not as it was signed; empty if all is. */
function problemsOf(
  folder: string,
  present: readonly string[],
  { digests }: ReleaseStatement,
  some: boolean,
): readonly string[] {
  const wrong = present.flatMap((name) => {
    const signed = digests.get(name);
    if (signed === undefined) return [`${name} was not signed`];
    return releaseFileDigest(folder, name) === signed ? [] : [`${name} is not the file that was signed`];
  });
  if (some && present.length > 0) return wrong;
  const here = new Set(present);
  const missing = [...digests.keys()].filter((name) => !here.has(name));
  return [...wrong, ...missing.map((name) => `${name} is missing`)];
}
