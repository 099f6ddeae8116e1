// `treewarden examiner`: internal, started by the supervisor to examine files for the warden.
import { runExaminer } from "../examiner/examiner.ts";
import { inherited, readControl } from "../supervisor/inherited.ts";
import { parseWardenPlan } from "../warden/warden-plan.ts";

export function examiner(text: string): void {
  const { config } = parseWardenPlan(text);
  runExaminer({
    base: config.base,
    askFd: inherited.warden,
    controlFd: inherited.control,
    packagesFd: inherited.packages,
    readOrders: () => readControl(),
  });
}
