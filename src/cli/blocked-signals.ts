// Commands that read signals from a descriptor need them blocked before the process's first instruction: the runtime's
// other threads exist by the time that any code runs, and a mask that is set later does not reach them.
import { replaceProcess } from "../linux/process.ts";
import { blockSignals, type SignalName } from "../linux/signalfd.ts";
import { ownArguments } from "../linux/spawn.ts";
import { compiledEarly, frugal } from "../supervisor/runtime-options.ts";

/** Set in the environment of the process that was started with the signals blocked. */
const BLOCKED = "TREEWARDEN_SIGNALS_BLOCKED";
/** What output to a terminal depends on; no variable that changes how the runtime starts. */
const KEPT = ["TERM", "NO_COLOR", "TZ", "COLUMNS"];

/**
 * Returns in a process that has `signals` blocked from its start. The first call replaces this process by itself with
 * the same command line, and with an environment of its own.
 */
export function restartWithSignalsBlocked(signals: readonly SignalName[]): void {
  if (process.env[BLOCKED] === "1") return;
  blockSignals(signals);
  const kept = Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && KEPT.includes(name) ? [[name, value] as const] : [],
  );
  const environment = { [BLOCKED]: "1", ...frugal, ...compiledEarly, ...Object.fromEntries(kept) };
  replaceProcess(["treewarden", ...ownArguments(), ...process.argv.slice(2)], environment);
}
