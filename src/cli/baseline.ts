// `treewarden baseline`: learn what this host runs, keep it, and show what is new.
import { Command, Option } from "commander";
import { scope } from "../baseline/key.ts";
import { durationExamples } from "../vocabulary/duration.ts";
import { type AcceptFlags, accept } from "./baseline/accept.ts";
import { printRows, ROWS_COMMAND } from "./baseline/candidates.ts";
import { type CompareFlags, compare } from "./baseline/compare.ts";
import {
  addExclusion,
  type ListFlags,
  listExclusions,
  type PatternFlags,
  type RemoveFlags,
  removeExclusions,
  type TestFlags,
  testExclusions,
} from "./baseline/exclude.ts";
import {
  type DiffFlags,
  diff,
  type ExportFlags,
  exportBaseline,
  importBaseline,
  type MergeFlags,
  merge,
} from "./baseline/files.ts";
import type { BaselineHost } from "./baseline/host.ts";
import { type LearnFlags, learn } from "./baseline/learn.ts";
import { type ReviewFlags, review } from "./baseline/review.ts";
import { type HostFlags, hostConfigOrLastGood, withHostOptions } from "./host-settings.ts";
import { outputOption } from "./output-format.ts";

export function baselineCommand(): Command {
  const command = new Command("baseline").description("learn what this host runs, and show what is new");
  addLearning(command);
  addComparing(command);
  addFiles(command);
  command.addCommand(excludeCommand());
  command.addCommand(
    new Command(ROWS_COMMAND)
      .requiredOption("--state-dir <directory>")
      .action((flags: { stateDir: string }) => printRows(flags.stateDir)),
    { hidden: true },
  );
  return command;
}

function hostOf(flags: HostFlags): BaselineHost {
  return { stateDirectory: hostConfigOrLastGood(flags, "to decide").config.state_directory };
}

function formatOption(): Option {
  return new Option("--format <format>", "trees, or the lines of for-rest")
    .choices(["trees", "forrest"])
    .default("trees");
}

function captureOption(): Option {
  return new Option("--capture <file>", "read trees from this capture instead of from the running warden");
}

function unitOption(): Option {
  return new Option("--unit <glob>", "only trees of this unit or container image, such as nginx").argParser(
    unitArgument,
  );
}

/** As the scope of an entry: `nginx` means nginx.service. */
function unitArgument(text: string): string {
  return /^[^./*{}]+$/.test(text) && text !== scope.none && text !== scope.container
    ? `${text}.service`
    : text;
}

function treeOption(): Option {
  return new Option("--tree <glob>", "only these trees: a glob over labels, as in policies: /sshd/**");
}

function roleOption(of: string): Option {
  return new Option("--role <name>", `role of ${of}`);
}

function outOption(): Option {
  return new Option("--out <file>", "write to this file instead of to standard output");
}

function addLearning(command: Command): void {
  withHostOptions(command.command("learn"))
    .description("make the running warden collect every tree")
    .option("--for <duration>", `end after this long: ${durationExamples} (default: at --stop)`)
    .option("--stop", "end the learning")
    .option("--show", "show its progress, and each tree that accept would put into force")
    .addOption(unitOption())
    .addOption(treeOption())
    .option("--new", "show only trees that the baseline in force does not know")
    .addOption(outputOption())
    .action((flags: LearnFlags & HostFlags) => learn(flags, hostOf(flags)));
  withHostOptions(command.command("accept"))
    .description("show what was learned and put it into force; on a terminal, after a question")
    .addOption(roleOption("this host"))
    .addOption(unitOption())
    .addOption(treeOption())
    .option("--new", "only trees that the baseline in force does not know")
    .option("--yes", "do not ask")
    .option("--anyway", "even if the learning has not ended, or has missed trees for lack of room")
    .option("--strict", "take only trees that were seen complete, from their root on")
    .addOption(
      new Option("--output <format>", "list the trees also where standard output is no terminal").choices([
        "json",
        "pretty",
      ]),
    )
    .action((flags: AcceptFlags & HostFlags) => accept(flags, hostOf(flags)));
}

function addComparing(command: Command): void {
  withHostOptions(command.command("compare"))
    .description("show each tree that is not in the baseline; exit code 1 if there is one")
    .option("--baseline <file>", "compare with this file instead of the baseline in force")
    .addOption(captureOption())
    .addOption(formatOption())
    .option("--show-excluded", "also show the trees that exclusions hide")
    .addOption(outputOption())
    .action((flags: CompareFlags & HostFlags) => compare(flags, hostOf(flags)));
  withHostOptions(command.command("review"))
    .description(
      "go through new trees: accept, exclude or turn into a rule, alone or with all below; exit code 1 if some are left",
    )
    .option("--accept <glob...>", "ask nothing, and put the new trees that match into force")
    .option("--exclude <glob...>", "ask nothing, and exclude this pattern; excluded trees are not accepted")
    .option("--reason <text>", "why the trees are excluded")
    .addOption(unitOption())
    .addOption(treeOption())
    .addOption(captureOption())
    .addOption(outputOption())
    .option("--other <file...>", "baselines of other hosts, to show which of them have a tree")
    .action((flags: ReviewFlags & HostFlags) => review(flags, hostOf(flags)));
}

function addFiles(command: Command): void {
  withHostOptions(command.command("diff"))
    .description(
      "show what only the second file has (+) and what only the first has (-); exit code 1 if they differ",
    )
    .argument("<file>", "a baseline")
    .argument("[file]", "another baseline; without it, the first is compared with the baseline in force")
    .addOption(outputOption())
    .action((first: string, second: string | undefined, flags: DiffFlags & HostFlags) =>
      diff(first, second, flags, hostOf(flags)),
    );
  withHostOptions(command.command("export"))
    .description("write the baseline in force, or the one that a capture would make")
    .addOption(captureOption())
    .addOption(formatOption())
    .addOption(roleOption("this host"))
    .addOption(outOption())
    .action((flags: ExportFlags & HostFlags) => exportBaseline(flags, hostOf(flags)));
  withHostOptions(command.command("import"))
    .description("put a file into force, in place of the baseline in force")
    .argument("<file>", "a baseline; one that was edited by hand must have no digest line")
    .action((file: string, flags: HostFlags) => importBaseline(file, hostOf(flags)));
  command
    .command("merge")
    .description("write the baselines of several hosts as one")
    .argument("<file...>", "baselines")
    .addOption(roleOption("the hosts"))
    .addOption(outOption())
    .action((paths: string[], flags: MergeFlags) => merge(paths, flags));
}

function excludeCommand(): Command {
  const command = new Command("exclude").description(
    "patterns for maintenance: trees that match raise no alarm",
  );
  const pattern = (subcommand: Command): Command =>
    withHostOptions(subcommand)
      .option("--user <user>", "only what this user runs, or root on behalf of this user")
      .option("--scope <scope>", "only in this unit or container image")
      .option("--for <duration>", `for this long: ${durationExamples} (default: for good)`)
      .option("--until <time>", "until this time, such as 2026-01-31T12:00:00Z");
  pattern(command.command("add"))
    .description("add a pattern")
    .argument("<tree>", "a glob over labels, as in policies: /**/sshd/**")
    .option("--reason <text>", "why the trees are excluded")
    .action((tree: string, flags: PatternFlags & HostFlags) => addExclusion(tree, flags, hostOf(flags)));
  withHostOptions(command.command("remove"))
    .description("remove a pattern")
    .argument("[tree]", "the pattern, as it was added")
    .option("--user <user>", "of several with this pattern, the one for this user")
    .option("--scope <scope>", "of several with this pattern, the one for this unit or container image")
    .option("--all", "all exclusions with this pattern")
    .option("--ended", "all exclusions that have ended")
    .action((tree: string | undefined, flags: RemoveFlags & HostFlags) =>
      removeExclusions(tree, flags, hostOf(flags)),
    );
  withHostOptions(command.command("list"))
    .description("show all patterns")
    .addOption(outputOption())
    .action((flags: ListFlags & HostFlags) => listExclusions(flags, hostOf(flags)));
  pattern(command.command("test"))
    .description("show the unknown trees that the patterns hide, or that a new pattern would hide")
    .argument("[tree]", "a pattern that does not exist yet")
    .option("--baseline <file>", "compare with this file instead of the baseline in force")
    .addOption(captureOption())
    .addOption(outputOption())
    .action((tree: string | undefined, flags: TestFlags & HostFlags) =>
      testExclusions(tree, flags, hostOf(flags)),
    );
  return command;
}
