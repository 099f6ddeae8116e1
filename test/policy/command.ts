// Runs `treewarden policy` as the whole command line would.

import { CommandError } from "../../src/cli/output.ts";
import { policyCommand } from "../../src/cli/policy.ts";

try {
  await policyCommand().parseAsync(process.argv.slice(2), { from: "user" });
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  process.stderr.write(`treewarden: ${error.message}\n`);
  process.exitCode = error.code;
}
