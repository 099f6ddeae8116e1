// `treewarden baseline` and `treewarden change` by themselves, as a program: what the tests of the commands start.
import { Command } from "commander";
import { baselineCommand } from "../../src/cli/baseline.ts";
import { changeCommand } from "../../src/cli/change.ts";
import { CommandError, exitCodes } from "../../src/cli/output.ts";

try {
  await new Command("treewarden")
    .addCommand(baselineCommand())
    .addCommand(changeCommand())
    .parseAsync(process.argv.slice(2), { from: "user" });
} catch (error) {
  const told = error instanceof CommandError;
  process.stderr.write(`treewarden: ${told ? error.message : String(error)}\n`);
  if (told && error.hint !== undefined) process.stderr.write(`  hint: ${error.hint}\n`);
  process.exitCode = told ? error.code : exitCodes.fault;
}
