// `treewarden examiner PLAN`: treewarden's own, started by the supervisor to look at files for the warden.
import { Command } from "commander";
import { runExaminer } from "../examiner/examiner.ts";
import { inherited, readControl } from "../supervisor/inherited.ts";
import type { WardenPlan } from "../warden/plan.ts";
import { CommandError, exit } from "./voice.ts";

export function examinerCommand(): Command {
  return new Command("examiner").argument("<plan>").action((text: string) => {
    const { config } = parsePlan(text);
    runExaminer({
      base: config.base,
      askFd: inherited.warden,
      controlFd: inherited.control,
      readOrders: () => readControl(),
    });
  });
}

/** The supervisor's own words, made by `treewarden run` a moment ago. */
function parsePlan(text: string): WardenPlan {
  try {
    const plan: WardenPlan = JSON.parse(text);
    return plan;
  } catch {
    throw new CommandError(exit.usage, "this command is treewarden's own: use treewarden run");
  }
}
