// The table of user commands and their help.
import { Command } from "commander";
import { version } from "../report/version.ts";
import { shownValue } from "../vocabulary/error-text.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { usageError } from "./usage-errors.ts";

/** The commands. Each is loaded only when it is called, so that `version` does not load the code of the others. */
const commands: readonly { name: string; summary: string; load: () => Promise<Command> }[] = [
  {
    name: "run",
    summary: "watch this host and judge every program that starts",
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
    summary: "check, lint, test, show and sign policies",
    load: async () => (await import("./policy.ts")).policyCommand(),
  },
  {
    name: "baseline",
    summary: "learn what a server runs, accept it, compare",
    load: async () => (await import("./baseline.ts")).baselineCommand(),
  },
  {
    name: "record",
    summary: "write the event stream to a capture file",
    load: async () => (await import("./record.ts")).recordCommand(),
  },
  {
    name: "replay",
    summary: "show the verdicts that a policy would have given on a capture",
    load: async () => (await import("./replay.ts")).replayCommand(),
  },
  {
    name: "arm",
    summary: "let a rule act on this host",
    load: async () => (await import("./orders/arm.ts")).armCommand(),
  },
  {
    name: "disarm",
    summary: "keep a rule, or all, from acting",
    load: async () => (await import("./orders/disarm.ts")).disarmCommand(),
  },
  {
    name: "pause",
    summary: "for a while let nothing act",
    load: async () => (await import("./orders/pause.ts")).pauseCommand(),
  },
  {
    name: "resume",
    summary: "end a pause",
    load: async () => (await import("./orders/pause.ts")).resumeCommand(),
  },
  {
    name: "release",
    summary: "let a tree go on that a rule has stopped",
    load: async () => (await import("./orders/stopped.ts")).releaseCommand(),
  },
  {
    name: "kill",
    summary: "kill a tree that a rule has stopped",
    load: async () => (await import("./orders/stopped.ts")).killCommand(),
  },
  {
    name: "silence",
    summary: "for a while do not alert by a rule",
    load: async () => (await import("./orders/silence.ts")).silenceCommand(),
  },
  {
    name: "status",
    summary: "show what is enforced here, since when and by whom",
    load: async () => (await import("./status.ts")).statusCommand(),
  },
  {
    name: "reload",
    summary: "have the running warden read its policies and baselines again",
    load: async () => (await import("./reload.ts")).reloadCommand(),
  },
  {
    name: "events",
    summary: "show what the journal holds: verdicts, new trees, loss, changes",
    load: async () => (await import("./events.ts")).eventsCommand(),
  },
  {
    name: "change",
    summary: "collect what a planned change starts, without alarms, and accept it",
    load: async () => (await import("./change.ts")).changeCommand(),
  },
  {
    name: "show",
    summary: "show one verdict with its lineage and what followed",
    load: async () => (await import("./show.ts")).showCommand(),
  },
  {
    name: "doctor",
    summary: "show what this kernel supports, what is missing, and how to fix it",
    load: async () => (await import("./doctor.ts")).doctorCommand(),
  },
  {
    name: "verify-release",
    summary: "check downloaded files of a release against their signature",
    load: async () => (await import("./verify-release.ts")).verifyReleaseCommand(),
  },
  {
    name: "sign-release",
    summary: "sign the files of a release",
    load: async () => (await import("./sign-release.ts")).signReleaseCommand(),
  },
  {
    name: "config",
    summary: "convert the configuration of pidtree-bcc",
    load: async () => (await import("./config.ts")).configCommand(),
  },
  {
    name: "schema",
    summary: "print the JSON Schema of policies or of the configuration, for editors",
    load: async () => (await import("./schema.ts")).schemaCommand(),
  },
  {
    name: "completion",
    summary: "print the script by which bash, zsh or fish completes a command line",
    load: async () => (await import("./completion.ts")).completionCommand(),
  },
  {
    name: "licenses",
    summary: "show the licences of everything in this executable",
    load: async () => (await import("./licenses.ts")).licensesCommand(),
  },
  {
    name: "version",
    summary: "show the version and what it was built for",
    load: async () => (await import("./version.ts")).versionCommand(),
  },
];

const examples = `
Examples:
  treewarden run                          watch this host and kill nothing
  treewarden run --policy web --enforcement kill
  treewarden trace --output json          every exec with its tree, as it happens
  treewarden events --since 1h            the verdicts of the last hour
  treewarden explain 4711                 why that process has its label, tree and verdict

Exit codes: 0 success, 1 the answer is no, 2 usage or configuration error, 3 not permitted, 4 internal error
`;

/** Parses a command line and runs its command. */
export async function parseCommandLine(args: readonly string[]): Promise<void> {
  const root = await program(args);
  await root.parseAsync([...withHelpOption(root, args)], { from: "user" });
}

/** The command-line parser. Only the called command is loaded; help shows the others by their summaries. */
async function program(args: readonly string[]): Promise<Command> {
  const root = emptyProgram();
  const called = args.find((arg) => !arg.startsWith("-") && arg !== "help");
  for (const { name, summary, load } of commands) {
    if (name === called) root.addCommand(throwInsteadOfExit(await load(), "treewarden"));
    else root.command(name).description(summary);
  }
  return root;
}

/** The command-line parser with all commands, for completion and the manual page. */
export async function wholeProgram(): Promise<Command> {
  const root = emptyProgram();
  for (const { load } of commands) root.addCommand(await load());
  return root;
}

function emptyProgram(): Command {
  return (
    new Command("treewarden")
      .description(
        "watches every program that starts on this host, names its process tree, and judges it by a policy",
      )
      .version(version, "-V, --version", "show the version")
      .helpCommand("help [command...]", "show help for a command")
      .addHelpText("after", examples)
      // Options after a command belong to the command: `explain --exe /bin/ls --args --version` does not print a version.
      .enablePositionalOptions()
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({ outputError: (text) => printUsageError(text, "treewarden") })
  );
}

/** Prints an error of the option parser as every other error is printed, and where to look. */
function printUsageError(text: string, command: string): void {
  const { message, hint: suggestion } = usageError(text);
  warn(message);
  hint(suggestion ?? `${command} --help shows what there is`);
}

/**
 * `help policy check` and `policy help check` as `policy check --help`: commander heeds one name only, and shows the help of
 * the command above for one that does not exist. Throws a CommandError for such a name.
 */
function withHelpOption(root: Command, args: readonly string[]): readonly string[] {
  let command = root;
  let isHelp = false;
  const path: string[] = [];
  for (const word of args) {
    const isLast = command.commands.length === 0;
    if (isLast || word.startsWith("-")) break;
    if (word === "help" && !isHelp) {
      isHelp = true;
      continue;
    }
    const next = command.commands.find((each) => each.name() === word);
    if (next === undefined && !isHelp) return args;
    if (next === undefined) throw unknownCommand(word, command, path);
    command = next;
    path.push(word);
  }
  return isHelp ? [...path, "--help"] : args;
}

function unknownCommand(name: string, { commands }: Command, path: readonly string[]): CommandError {
  const near = nearest(
    name,
    commands.map((command) => command.name()),
  );
  const help = ["treewarden", "help", ...path].join(" ");
  return new CommandError(
    exitCodes.usage,
    `unknown command ${shownValue(name)}`,
    near === undefined ? `${help} shows the commands` : `did you mean ${near}?`,
  );
}

/** commander would call process.exit for a usage error; commandline.ts needs the exception for the exit code. */
function throwInsteadOfExit(command: Command, parent: string): Command {
  const name = `${parent} ${command.name()}`;
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text) => printUsageError(text, name) });
  for (const subcommand of command.commands) throwInsteadOfExit(subcommand, name);
  return command;
}
