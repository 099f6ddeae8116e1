// The commands for people: which there are, and their help.
import { Command } from "commander";
import { version } from "../report/version.ts";

/** Commands are loaded when they are asked for: `version` does not carry everybody's code. */
const commands: readonly { name: string; summary: string; load: () => Promise<Command> }[] = [
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
    summary: "check, test, show and sign policies",
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
];

const examples = `
Examples:
  treewarden run                          watch this host: observe, embedded defaults
  treewarden run --policy web --enforcement kill
  treewarden trace --output json          every exec with its tree, as it happens
  treewarden explain 4711                 why that process has its label, tree and verdict

Exit codes: 0 fine, 1 the answer is no, 2 wrong use or configuration, 3 not permitted, 4 treewarden failed
`;

/** Only the command that was asked for is loaded; help shows the others by their summaries. */
export async function program(args: readonly string[]): Promise<Command> {
  const root = new Command("treewarden")
    .description(
      "watches every program that starts on this host, names its tree, and judges it by the role's policy",
    )
    .version(version, "-V, --version", "show the version")
    .helpCommand("help [command]", "show help for a command")
    .addHelpText("after", examples)
    // What follows a command is the command's own: `explain --exe /bin/ls --args --version` asks nothing of treewarden.
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError();
  const asked = args.find((arg) => !arg.startsWith("-") && arg !== "help");
  for (const { name, summary, load } of commands) {
    if (name === asked) root.addCommand(withExit(await load()));
    else root.command(name).description(summary);
  }
  return root;
}

function withExit(command: Command): Command {
  command.exitOverride().showSuggestionAfterError();
  for (const sub of command.commands) withExit(sub);
  return command;
}
