// The command line: treewarden's own processes, else a command for people; and the one way out of all of them.
import { codeOf, stackOf } from "../vocabulary/errors.ts";
import { CommandError, type ExitCode, exitCodes, hint, warn } from "./output.ts";

/**
 * Treewarden's own commands, one for each of its processes, started by the supervisor with one argument of JSON (the
 * warden may get another, in words). They
 * need no option parser, and each loads its own code only: it is memory that every host pays for.
 */
const own: ReadonlyMap<string, (plan: string, more: string | undefined) => Promise<void>> = new Map([
  ["supervisor", async (plan) => (await import("./supervisor.ts")).supervisor(plan)],
  ["warden", async (plan, more) => (await import("./warden.ts")).warden(plan, more)],
  ["reporter", async (plan) => (await import("./reporter.ts")).reporter(plan)],
  ["examiner", async (plan) => (await import("./examiner.ts")).examiner(plan)],
]);

/** Runs one command; gives its exit code. Never throws. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  process.on("uncaughtException", leave);
  process.on("unhandledRejection", leave);
  try {
    const ours = own.get(args[0] ?? "");
    if (ours !== undefined && args[1] !== undefined) await ours(args[1], args[2]);
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
  const isReaderGone = codeOf(error) === "EPIPE";
  process.exit(isReaderGone ? exitCodeSoFar() : tell(error));
}

function exitCodeSoFar(): ExitCode {
  const code = process.exitCode;
  return code === 1 || code === 2 || code === 3 || code === 4 ? code : exitCodes.fine;
}

function tell(error: unknown): ExitCode {
  if (error instanceof CommandError) {
    warn(error.message);
    if (error.hint !== undefined) hint(error.hint);
    return error.code;
  }
  if (error instanceof SyntaxError && own.has(process.argv[2] ?? "")) {
    warn("this command is treewarden's own: use treewarden run");
    return exitCodes.usage;
  }
  if (isCommanders(error)) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
  warn(`fault: ${stackOf(error)}`);
  hint("this is an error of treewarden itself, please report it");
  return exitCodes.fault;
}

/** Commander has already said what was wrong; help and version come this way too, with 0. Told without loading it. */
function isCommanders(error: unknown): error is Error & { readonly exitCode: number } {
  if (!(error instanceof Error && "code" in error && "exitCode" in error)) return false;
  return String(error.code).startsWith("commander.");
}
