// `treewarden examiner`: internal, started by the supervisor to examine files for the warden.
import { runExaminer } from "../examiner/examiner.ts";
import { inherited, readControl } from "../supervisor/inherited.ts";
import { parseWardenPlan } from "../warden/warden-plan.ts";

/** `plan`: the warden's plan, from which the examiner needs only the settings of the base system. */
export function examiner(plan: string): void {
  const { config } = parseWardenPlan(plan);
  runExaminer({
    base: config.base,
    askFd: inherited.warden,
    controlFd: inherited.control,
    packagesFd: inherited.packages,
    readOrders: () => readControl(),
  });
}
