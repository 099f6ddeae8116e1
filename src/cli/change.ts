// `treewarden change`: windows in which what a program starts is no alarm, but is collected to be accepted.
import { Command, Option } from "commander";
import { durationExamples } from "../vocabulary/duration.ts";
import { type AcceptChangeFlags, acceptChange } from "./change/accept.ts";
import { type ExportChangeFlags, exportChange } from "./change/export.ts";
import {
  type BeginFlags,
  beginChange,
  endChange,
  type ListChangesFlags,
  listChanges,
} from "./change/windows.ts";
import { type HostFlags, hostConfig, withHostOptions } from "./host-settings.ts";
import { outputOption } from "./output-format.ts";

const examples = `
Examples:
  treewarden change begin --id CHG-7 --under ansible-playbook --for 30m
  treewarden change end --id CHG-7
  treewarden change export --id CHG-7 --out chg-7.baseline --sign release.key
  treewarden change accept chg-7.baseline        on every host that gets the same change
`;

export function changeCommand(): Command {
  const command = new Command("change")
    .description("collect what a planned change starts, without alarms, and accept it")
    .addHelpText("after", examples);
  withHostOptions(command.command("begin"))
    .description("open a window: what is new below a program is no alarm by the baseline, and is collected")
    .addOption(idOption())
    .requiredOption(
      "--under <program>",
      "only what this program starts, if root runs it: its name, or a glob over its path; may be repeated",
      (program: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), program],
    )
    .requiredOption("--for <duration>", `how long, at most a day: ${durationExamples}`)
    .option("--user <user>", "only what this user runs, or root on behalf of this user")
    .action((flags: BeginFlags & HostFlags) => beginChange(flags, hostConfig(flags, "to decide")));
  withHostOptions(command.command("end"))
    .description("close the windows of a change")
    .addOption(idOption())
    .action((flags: IdFlags & HostFlags) => endChange(flags.id, hostConfig(flags, "to decide")));
  withHostOptions(command.command("list"))
    .description("show all changes, and how many trees were collected for each")
    .addOption(outputOption())
    .action((flags: ListChangesFlags & HostFlags) => listChanges(flags, hostConfig(flags)));
  withHostOptions(command.command("export"))
    .description("write what was collected for a change as a baseline, to be accepted on other hosts")
    .addOption(idOption())
    .option("--out <file>", "write to this file instead of to standard output")
    .option("--sign <key>", "also sign it with this private key, into FILE.sig")
    .action((flags: ExportChangeFlags & HostFlags) => exportChange(flags, hostConfig(flags)));
  withHostOptions(command.command("accept"))
    .description(
      "show what was collected for a change and put it into force; on a terminal, after a question",
    )
    .argument("[file]", "what another host has exported; with policy_keys its signature must be there, too")
    .addOption(idOption(false))
    .option("--yes", "do not ask")
    .addOption(
      new Option("--output <format>", "list the trees also where standard output is no terminal").choices([
        "json",
        "pretty",
      ]),
    )
    .action((file: string | undefined, flags: AcceptChangeFlags & HostFlags) =>
      acceptChange(file, flags, hostConfig(flags, "to decide")),
    );
  return command;
}

interface IdFlags {
  readonly id: string;
}

function idOption(isRequired = true): Option {
  return new Option(
    "--id <id>",
    isRequired ? "name of the change, such as CHG-7" : "a change of this host",
  ).makeOptionMandatory(isRequired);
}
