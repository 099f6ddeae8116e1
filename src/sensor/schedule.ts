// When the reader of events runs: before others, where being late costs what a sensor is for.
import { type Scheduling, setScheduling } from "../linux/process.ts";

/**
 * The kernel often puts a reader that it wakes behind the very process whose event it is: with ordinary scheduling that
 * process runs on before the reader does. True if something was changed; without CAP_SYS_NICE nothing may be.
 */
export function schedule(how: Scheduling): boolean {
  if (how === "ordinary") return false;
  try {
    setScheduling(how);
    return true;
  } catch {
    return how === "realtime" && schedule("short");
  }
}

export function scheduleOrdinarily(): void {
  try {
    setScheduling("ordinary");
  } catch {
    // Without rights there is no way back from a shorter slice; it harms nobody.
  }
}
