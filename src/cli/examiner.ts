// `treewarden examiner`: internal, started by the supervisor to examine files for the warden.
import { runExaminer } from "../examiner/examiner.ts";
import { ignoreSignals } from "../linux/signalfd.ts";
import { Timer } from "../linux/timerfd.ts";
import { handledSignals, inherited, readControl, watchdogInterval } from "../supervisor/inherited.ts";
import { parseWardenPlan } from "../warden/warden-plan.ts";

/** `plan`: the warden's plan, from which the examiner needs only the settings of the base system. */
export function examiner(plan: string): void {
  // systemd sends SIGTERM to all processes of a unit; the supervisor ends the examiner.
  ignoreSignals(handledSignals);
  const { config } = parseWardenPlan(plan);
  const timer = new Timer(inherited.deadManOfExaminer);
  runExaminer({
    base: config.base,
    askFd: inherited.warden,
    controlFd: inherited.control,
    packagesFd: inherited.packages,
    readOrders: () => readControl(),
    limitTime: (seconds) => {
      if (seconds === 0) timer.disarm();
      else timer.armEvery(watchdogInterval(seconds * 1000));
    },
  });
}
