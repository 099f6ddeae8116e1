// `record` and `replay` alone, from their sources: what the tests of captures run.
import { Command } from "commander";
import { CommandError, hint, warn } from "../../src/cli/output.ts";
import { recordCommand } from "../../src/cli/record.ts";
import { replayCommand } from "../../src/cli/replay.ts";

try {
  const program = new Command("treewarden").addCommand(recordCommand()).addCommand(replayCommand());
  await program.parseAsync(process.argv.slice(2), { from: "user" });
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  warn(error.message);
  if (error.hint !== undefined) hint(error.hint);
  process.exitCode = error.code;
}
