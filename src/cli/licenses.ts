// `treewarden licenses`
import { Command } from "commander";
// Generated from package-lock.json and the packages themselves.
import texts from "../../docs/licenses.txt" with { type: "text" };

export function licensesCommand(): Command {
  return new Command("licenses")
    .description("show the licences of everything in this executable")
    .action(() => {
      process.stdout.write(texts);
    });
}
