// `treewarden baseline`: learn what this host runs, keep it, and tell what is not in it.
import { Command, Option } from "commander";
import { defaultStateDirectory } from "../config/config.ts";
import { printRows, ROWS_COMMAND } from "./baseline/candidates.ts";
import { type CompareFlags, compare } from "./baseline/compare.ts";
import { addExclusion, listExclusions, type PatternFlags, testExclusions } from "./baseline/exclude.ts";
import {
  type DiffFlags,
  diff,
  type ExportFlags,
  exportBaseline,
  importBaseline,
  merge,
} from "./baseline/files.ts";
import { type AcceptFlags, accept, type LearnFlags, learn } from "./baseline/learn.ts";
import { type ReviewFlags, review } from "./baseline/review.ts";

export function baselineCommand(): Command {
  const command = new Command("baseline").description("learn what this host runs, and tell what is new");
  learning(command);
  looking(command);
  files(command);
  command.addCommand(excludeCommand());
  command.addCommand(
    new Command(ROWS_COMMAND)
      .addOption(stateDir())
      .action((flags: { stateDir: string }) => printRows(flags.stateDir)),
    { hidden: true },
  );
  return command;
}

function stateDir(): Option {
  return new Option("--state-dir <directory>", "of the treewarden that is meant").default(
    defaultStateDirectory,
  );
}

function output(): Option {
  return new Option("--output <format>", "default: pretty on a terminal, else json").choices([
    "json",
    "pretty",
  ]);
}

function format(): Option {
  return new Option("--format <format>", "trees, or the lines of for-rest")
    .choices(["trees", "forrest"])
    .default("trees");
}

function capture(): Option {
  return new Option("--capture <file>", "what a capture shows instead of what the running warden found");
}

function learning(command: Command): void {
  command
    .command("learn")
    .description("have the running warden collect every tree")
    .option("--for <duration>", "as long as this without loss: 90s, 30m, 24h, 7d (default: until --stop)")
    .option("--stop", "end it")
    .option("--show", "how far it is, and whether it has settled")
    .addOption(output())
    .addOption(stateDir())
    .action((flags: LearnFlags) => learn(flags));
  command
    .command("accept")
    .description("put what was learned into force")
    .option("--role <name>", "what this host is for")
    .option("--anyway", "although the learning is not over, or was not without loss")
    .addOption(stateDir())
    .action((flags: AcceptFlags) => accept(flags));
}

function looking(command: Command): void {
  command
    .command("compare")
    .description("show each tree that is not in the baseline; exit code 1 if there is any")
    .option("--baseline <file>", "compare with this instead of what is in force")
    .addOption(capture())
    .addOption(format())
    .option("--show-excluded", "show as well what exclusions hide")
    .addOption(output())
    .addOption(stateDir())
    .action((flags: CompareFlags) => compare(flags));
  command
    .command("review")
    .description(
      "go through new trees one by one: accept, exclude, turn into a rule; exit code 1 if some are left",
    )
    .addOption(capture())
    .option("--other <file...>", "baselines of other hosts, to tell which of them have a tree")
    .addOption(stateDir())
    .action((flags: ReviewFlags) => review(flags));
}

function files(command: Command): void {
  command
    .command("diff")
    .description(
      "show what the second has and the first has not (+), and the other way round (-); exit code 1 if anything",
    )
    .argument("<file>", "a baseline")
    .argument("[file]", "another; without it, the first is compared with what is in force")
    .addOption(output())
    .addOption(stateDir())
    .action((first: string, second: string | undefined, flags: DiffFlags) => diff(first, second, flags));
  command
    .command("export")
    .description("write the baseline in force, or that which a capture would make")
    .addOption(capture())
    .addOption(format())
    .option("--role <name>", "what the host is for")
    .option("--out <file>", "write it there instead of to standard output")
    .addOption(stateDir())
    .action((flags: ExportFlags) => exportBaseline(flags));
  command
    .command("import")
    .description("put a file into force, in place of what was")
    .argument("<file>", "a baseline; after an edit by hand, without its digest line")
    .addOption(stateDir())
    .action((file: string, flags: { stateDir: string }) => importBaseline(file, flags));
  command
    .command("merge")
    .description("write the baselines of several hosts as one")
    .argument("<file...>", "baselines")
    .option("--role <name>", "what the hosts are for")
    .option("--out <file>", "write it there instead of to standard output")
    .action((paths: string[], flags: { role?: string; out?: string }) => merge(paths, flags));
}

function excludeCommand(): Command {
  const command = new Command("exclude").description("patterns for maintenance: no alarm for trees that fit");
  const pattern = (one: Command): Command =>
    one
      .option("--user <user>", "only what this user does, and root for him")
      .option("--scope <scope>", "only in this unit or container image")
      .option("--for <duration>", "for a while: 30m, 2h, 7d (default: for good)")
      .option("--until <time>", "until then: 2026-01-31T12:00:00Z")
      .addOption(stateDir());
  pattern(command.command("add"))
    .description("add a pattern")
    .argument("<tree>", "a glob over labels, as policies' tree: /**/sshd/**")
    .option("--reason <text>", "why")
    .action((tree: string, flags: PatternFlags) => addExclusion(tree, flags));
  command
    .command("list")
    .description("show all patterns")
    .addOption(output())
    .addOption(stateDir())
    .action((flags: { output?: "json" | "pretty"; stateDir: string }) => listExclusions(flags));
  pattern(command.command("test"))
    .description("show what the patterns hide that the baseline does not know, or what this one would")
    .argument("[tree]", "a pattern that is not there yet")
    .option("--baseline <file>", "instead of what is in force")
    .addOption(capture())
    .addOption(output())
    .action((tree: string | undefined, flags: PatternFlags & { capture?: string; baseline?: string }) =>
      testExclusions(tree, flags),
    );
  return command;
}
