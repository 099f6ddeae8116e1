// `treewarden supervisor PLAN`: what `treewarden run` becomes, and its standby.
import { Command } from "commander";
import { continueSupervising } from "../supervisor/supervise.ts";

export function supervisorCommand(): Command {
  return new Command("supervisor")
    .argument("<plan>")
    .allowExcessArguments()
    .action(async (_plan: string, _options: object, command: Command) => {
      process.exitCode = await continueSupervising(command.args);
    });
}
