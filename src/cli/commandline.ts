// Runs a command line, either an internal command of the supervisor's children or a command for users, and turns every
// error into a message and an exit code.

import { forbidInspection } from "../linux/process.ts";
import { codeOf } from "../linux/system-error.ts";
import { readPlan } from "../supervisor/supervisor-plan.ts";
import { stackOf } from "../vocabulary/errors.ts";
import { CommandError, type ExitCode, exitCodes, hint, warn } from "./output.ts";

/**
 * The internal commands, one for each of treewarden's processes. The supervisor starts them with a plan on a
 * descriptor; warden and reporter may get further arguments. They load no option
 * parser, and each loads only its own code, to save memory on every host.
 */
const internalCommands: ReadonlyMap<string, (plan: string, more: readonly string[]) => Promise<void>> =
  new Map([
    ["supervisor", async (plan) => (await import("./supervisor.ts")).supervisor(plan)],
    ["standby", async (plan) => (await import("./supervisor.ts")).supervisor(plan)],
    ["warden", async (plan, [reason, as]) => (await import("./warden.ts")).warden(plan, reason, as)],
    ["reporter", async (plan, [as]) => (await import("./reporter.ts")).reporter(plan, as)],
    ["examiner", async (plan) => (await import("./examiner.ts")).examiner(plan)],
  ]);

/** Number of arguments after the role that name the plan (`planArguments`). */
const PLAN_ARGUMENTS = 2;

/** Runs one command and resolves with its exit code. Never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  process.on("uncaughtException", exitOnError);
  process.on("unhandledRejection", exitOnError);
  try {
    const [name = "", ...rest] = args;
    const internal = internalCommands.get(name);
    if (internal !== undefined) {
      // Before the plan is read: it may hold tokens.
      forbidInspection();
      // A standby has the rights and the filter of the supervisor that started it.
      if (name !== "standby") {
        const { restrictOwnProcess } = await import("./restricted-start.ts");
        restrictOwnProcess(name, rest);
      }
      await internal(readPlan(rest), rest.slice(PLAN_ARGUMENTS));
    } else await (await import("./program.ts")).parseCommandLine(args);
    return exitCodeSoFar();
  } catch (error) {
    return reportError(error);
  }
}

/** Exits on an error that no caller handles, such as a write to a pipe whose reader has closed its end. */
function exitOnError(error: unknown): never {
  const isReaderGone = codeOf(error) === "EPIPE";
  process.exit(isReaderGone ? exitCodeSoFar() : reportError(error));
}

function exitCodeSoFar(): ExitCode {
  const code = process.exitCode;
  return code === 1 || code === 2 || code === 3 || code === 4 ? code : exitCodes.fine;
}

/** Prints an error with its hint, and returns the exit code for it. */
function reportError(error: unknown): ExitCode {
  if (error instanceof CommandError) {
    warn(...error.lines);
    if (error.hint !== undefined) hint(error.hint);
    return error.code;
  }
  if (error instanceof SyntaxError && internalCommands.has(process.argv[2] ?? "")) {
    warn("this command is internal: use treewarden run");
    return exitCodes.usage;
  }
  if (isCommanderError(error)) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
  warn(...`fault: ${stackOf(error)}`.split("\n"));
  hint("this is an error of treewarden itself, please report it");
  return exitCodes.fault;
}

/**
 * True for the errors of commander, which has printed its message; help and version also throw one, with exit code 0.
 * The check works without loading commander.
 */
function isCommanderError(error: unknown): error is Error & { readonly exitCode: number } {
  if (!(error instanceof Error && "code" in error && "exitCode" in error)) return false;
  return String(error.code).startsWith("commander.");
}
