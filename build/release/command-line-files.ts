// What packages bring for the command line: the manual page, and a completion script for each shell. Both are made from
// the commands themselves.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { completedCommands } from "../../src/cli/completion/command-table.ts";
import { completionScript, type Shell } from "../../src/cli/completion/scripts.ts";
import { wholeProgram } from "../../src/cli/program.ts";
import { manPage } from "../man-page.ts";

/** Where the files are. */
export interface CommandLineFiles {
  /** Compressed by gzip, as man(1) and the packages of all distributions have it. */
  readonly manual: string;
  readonly completions: Readonly<Record<Shell, string>>;
}

/** Writes the files into `folder`. */
export async function writeCommandLineFiles(folder: string): Promise<CommandLineFiles> {
  const manual = join(folder, "treewarden.8.gz");
  writeFileSync(manual, gzipSync(await manPage(), { level: 9 }));
  const commands = completedCommands(await wholeProgram());
  const completion = (shell: Shell): string => {
    const file = join(folder, `completion.${shell}`);
    writeFileSync(file, completionScript(shell, commands));
    return file;
  };
  return {
    manual,
    completions: { bash: completion("bash"), zsh: completion("zsh"), fish: completion("fish") },
  };
}
