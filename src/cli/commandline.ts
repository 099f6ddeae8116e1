// The command line: treewarden's own processes, else a command for people; and the one way out of all of them.
import { readPlan } from "../supervisor/plan.ts";
import { CommandError, type ExitCode, exit, hint, warn } from "./voice.ts";

/**
 * Treewarden's own commands, one for each of its processes, started by the supervisor with a plan on a descriptor.
 * They need no option parser, and each loads its own code only: it is memory that every host pays for.
 */
const own: ReadonlyMap<string, (plan: string) => Promise<void>> = new Map([
  ["supervisor", async (plan) => (await import("./supervisor.ts")).supervisor(plan)],
  ["standby", async (plan) => (await import("./supervisor.ts")).supervisor(plan)],
  ["warden", async (plan) => (await import("./warden.ts")).warden(plan)],
  ["reporter", async (plan) => (await import("./reporter.ts")).reporter(plan)],
  ["examiner", async (plan) => (await import("./examiner.ts")).examiner(plan)],
]);

/** Runs one command; gives its exit code. Never throws. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  process.on("uncaughtException", leave);
  process.on("unhandledRejection", leave);
  try {
    const [command = "", ...words] = args;
    const ours = own.get(command);
    if (ours !== undefined) await ours(readPlan(words));
    else await parse(args);
    return exitCodeSoFar();
  } catch (error) {
    return tell(error);
  }
}

async function parse(args: readonly string[]): Promise<void> {
  const { program } = await import("./program.ts");
  await (await program(args)).parseAsync(args, { from: "user" });
}

/** Ends the process for an error that nobody waited for, such as that of a write to a pipe whose reader has left. */
function leave(error: unknown): never {
  const isReaderGone = error instanceof Error && "code" in error && error.code === "EPIPE";
  process.exit(isReaderGone ? exitCodeSoFar() : tell(error));
}

function exitCodeSoFar(): ExitCode {
  const code = process.exitCode;
  return code === 1 || code === 2 || code === 3 || code === 4 ? code : exit.fine;
}

function tell(error: unknown): ExitCode {
  if (error instanceof CommandError) {
    warn(error.message);
    if (error.hint !== undefined) hint(error.hint);
    return error.code;
  }
  if (error instanceof SyntaxError && own.has(process.argv[2] ?? "")) {
    warn("this command is treewarden's own: use treewarden run");
    return exit.usage;
  }
  if (isCommanders(error)) return error.exitCode === 0 ? exit.fine : exit.usage;
  warn(`fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  hint("this is an error of treewarden itself, please report it");
  return exit.fault;
}

/** Commander has already said what was wrong; help and version come this way too, with 0. Told without loading it. */
function isCommanders(error: unknown): error is Error & { readonly exitCode: number } {
  if (!(error instanceof Error && "code" in error && "exitCode" in error)) return false;
  return String(error.code).startsWith("commander.");
}
