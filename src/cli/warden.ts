// `treewarden warden PLAN`: treewarden's own, started by the supervisor with descriptors that wait for it.
import { Command } from "commander";
import { Timer } from "../linux/timerfd.ts";
import { inherited, readControl } from "../supervisor/inherited.ts";
import type { WardenPlan } from "../warden/plan.ts";
import { runWarden } from "../warden/warden.ts";
import { loadNamed, policyOrError } from "./policies.ts";
import { openSource } from "./source.ts";
import { CommandError, exit } from "./voice.ts";

/** As long as the slowest honest work takes, a look at all of a big /proc, many times over. */
const DEAD_MAN_NS = 10e9;

export function wardenCommand(): Command {
  return new Command("warden").argument("<plan>").action((text: string) => {
    const plan = parsePlan(text);
    const policy = policyOrError(plan.config.policies);
    runWarden(
      {
        run: plan.run,
        config: plan.config,
        openSensor: (choice, reader) =>
          openSource(choice, { reader, argumentBytes: plan.config.arguments.limit }),
        loadPolicy: () => loadNamed(plan.config.policies),
        reportFd: inherited.report,
        controlFd: inherited.control,
        readOrders: () => readControl(),
        examinerFd: inherited.examiner,
        deadMan: { timer: new Timer(inherited.deadMan), ns: DEAD_MAN_NS },
      },
      policy,
    );
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
