// The command line: which commands there are, and the one way out of each of them.
import { Command, CommanderError } from "commander";
import { version } from "../config/version.ts";
import { CommandError, type ExitCode, exit, hint, warn } from "./voice.ts";

/**
 * Commands are loaded when they are asked for: the warden does not carry the reporter's code, nor `version`
 * everybody's. Those without a summary are treewarden's own and not shown.
 */
const commands: readonly { name: string; summary?: string; load: () => Promise<Command> }[] = [
  {
    name: "run",
    summary: "watch this host, judge every program that starts, and act",
    load: async () => (await import("./run.ts")).runCommand(),
  },
  {
    name: "trace",
    summary: "show every exec with its tree, as it happens; no policy",
    load: async () => (await import("./trace.ts")).traceCommand(),
  },
  {
    name: "ps",
    summary: "show every process with its label and tree",
    load: async () => (await import("./ps.ts")).psCommand(),
  },
  {
    name: "explain",
    summary: "show how a label, a tree and a verdict come about",
    load: async () => (await import("./explain.ts")).explainCommand(),
  },
  {
    name: "policy",
    summary: "check, test and show policies",
    load: async () => (await import("./policy.ts")).policyCommand(),
  },
  {
    name: "baseline",
    summary: "learn what a server runs, accept it, compare",
    load: async () => (await import("./baseline.ts")).baselineCommand(),
  },
  {
    name: "record",
    summary: "make a capture of the event stream",
    load: async () => (await import("./record.ts")).recordCommand(),
  },
  {
    name: "replay",
    summary: "show the verdicts that a policy would have given on a capture",
    load: async () => (await import("./replay.ts")).replayCommand(),
  },
  {
    name: "events",
    summary: "show what the journal holds",
    load: async () => (await import("./events.ts")).eventsCommand(),
  },
  {
    name: "doctor",
    summary: "say what this kernel allows, what is missing, and what to do about it",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
  {
    name: "version",
    summary: "show the version and what it was built for",
    load: async () => (await import("./version.ts")).versionCommand(),
  },
  { name: "supervisor", load: async () => (await import("./supervisor.ts")).supervisorCommand() },
  { name: "reporter", load: async () => (await import("./reporter.ts")).reporterCommand() },
  { name: "examiner", load: async () => (await import("./examiner.ts")).examinerCommand() },
  { name: "warden", load: async () => (await import("./warden.ts")).wardenCommand() },
];

const examples = `
Examples:
  treewarden run                          watch this host: observe, embedded defaults
  treewarden run --policy web --enforcement kill
  treewarden trace --output json          every exec with its tree, as it happens
  treewarden explain 4711                 why that process has its label, tree and verdict

Exit codes: 0 fine, 1 the answer is no, 2 wrong use or configuration, 3 not permitted, 4 treewarden failed
`;

/** Runs one command; gives its exit code. Never throws. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  process.on("uncaughtException", leave);
  process.on("unhandledRejection", leave);
  try {
    await (await program(args)).parseAsync(args, { from: "user" });
    return exitCodeSoFar();
  } catch (error) {
    return tell(error);
  }
}

/** Only the command that was asked for is loaded; help shows the others by their summaries. */
async function program(args: readonly string[]): Promise<Command> {
  const root = new Command("treewarden")
    .description(
      "watches every program that starts on this host, names its tree, and judges it by the role's policy",
    )
    .version(version, "-V, --version", "show the version")
    .helpCommand("help [command]", "show help for a command")
    .addHelpText("after", examples)
    .exitOverride()
    .showSuggestionAfterError();
  const asked = args.find((arg) => !arg.startsWith("-") && arg !== "help");
  for (const { name, summary, load } of commands) {
    const hidden = summary === undefined;
    if (name === asked) root.addCommand(withExit(await load()), { hidden });
    else root.command(name, { hidden }).description(summary ?? "");
  }
  return root;
}

function withExit(command: Command): Command {
  command.exitOverride().showSuggestionAfterError();
  for (const sub of command.commands) withExit(sub);
  return command;
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
  // Commander has already said what was wrong; help and version come this way too, with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exit.fine : exit.usage;
  warn(`fault: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  hint("this is an error of treewarden itself, please report it");
  return exit.fault;
}
