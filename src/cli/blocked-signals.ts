// Commands that read signals from a descriptor need them blocked from the start of the process: the runtime's other
// threads exist before any of this code runs, and a signal mask that is set later does not apply to them.
import { replaceProcess } from "../linux/process.ts";
import { blockSignals, type SignalName } from "../linux/signalfd.ts";
import { ownArguments } from "../linux/spawn.ts";
import { compiledEarly, frugal } from "../supervisor/runtime-options.ts";

/** Environment variable that marks a process that was started with the signals blocked. */
const BLOCKED = "TREEWARDEN_SIGNALS_BLOCKED";
/** Variables that output to a terminal depends on; none of them changes how the runtime starts. */
const KEPT_VARIABLES = ["TERM", "NO_COLOR", "TZ", "COLUMNS"];

/**
 * Returns only in a process that has had `signals` blocked from its start. Otherwise it executes the same command line
 * again with the signals blocked and a minimal environment.
 */
export function restartWithSignalsBlocked(signals: readonly SignalName[]): void {
  if (process.env[BLOCKED] === "1") return;
  blockSignals(signals);
  const kept = Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && KEPT_VARIABLES.includes(name) ? [[name, value] as const] : [],
  );
  const environment = { [BLOCKED]: "1", ...frugal, ...compiledEarly, ...Object.fromEntries(kept) };
  replaceProcess(["treewarden", ...ownArguments(), ...process.argv.slice(2)], environment);
}
