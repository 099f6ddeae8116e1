// The manual page, made from the commands themselves. Run alone, it prints the page: bun build/man-page.ts | man -l -
import type { Command } from "commander";
import { wholeProgram } from "../src/cli/program.ts";
import { configFile, defaultStateDirectory } from "../src/config/config.ts";

/** Text as roff takes it: hyphens are minus signs, and no line is taken for a request. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/^(?=[.'])/gm, "\\&");
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** A paragraph with its term, as for an option. */
function item(term: string, text: string): string {
  return `.TP\n${bold(term)}\n${roff(sentence(text))}\n`;
}

function sentence(text: string): string {
  return text.replace(/^\w/, (letter) => letter.toUpperCase()).replace(/(?<![.!?])$/, ".");
}

/** The command with its arguments and options, and likewise all below it. */
function commandText(command: Command, parents: string): string {
  const name = `${parents} ${command.name()}`.trim();
  const help = command.createHelp();
  const below = command.commands.filter((each) => each.name() !== "help");
  const own =
    below.length > 0
      ? ""
      : [
          `.SS ${roff(`${name} ${command.usage()}`)}\n${roff(sentence(command.description()))}\n`,
          ...command.registeredArguments
            .filter(({ description }) => description !== "")
            .map((argument) => item(argument.name(), help.argumentDescription(argument))),
          ...command.options
            .filter(({ hidden }) => !hidden)
            .map((option) => item(option.flags, help.optionDescription(option))),
        ].join("");
  return own + below.map((each) => commandText(each, name)).join("");
}

/** The whole page. */
export async function manPage(): Promise<string> {
  const program = await wholeProgram();
  const commands = program.commands.filter((each) => each.name() !== "help");
  return `.\\" Made from src/cli/ by build/man-page.ts.
.TH TREEWARDEN 8 "" treewarden "System Administration"
.SH NAME
treewarden \\- watch every program that starts, and judge its process tree by a policy
.SH SYNOPSIS
.B treewarden
.I command
.RI [ options ]
.SH DESCRIPTION
treewarden watches every program that starts on a Linux host and names the whole chain of parents that started it, its
tree. It judges the tree by the policy of the server's role, and reports or kills what does not belong there.
.PP
${bold("treewarden run")} is the service. Without a configuration it observes with its embedded policy and kills nothing.
The other commands show and change what it does, and write and check policies and baselines.
.SH COMMANDS
${commands.map((command) => commandText(command, "")).join("")}.SH EXIT STATUS
${item("0", "success")}${item("1", "the answer is no: a test of a policy fails, compare finds new trees, no such process")}${item("2", "usage or configuration error, or a second warden on one state directory")}${item("3", "the kernel or the caller's rights do not allow it")}${item("4", "an error of treewarden itself")}.SH FILES
${item(configFile, "the configuration; it may be missing")}${item("/etc/treewarden/policies/*.json", "the policies in force, unless the configuration names others")}${item(defaultStateDirectory, "baseline, journal and saved state")}.SH ENVIRONMENT
${item("OTEL_*", "the standard variables of OpenTelemetry's exporters configure the export over OTLP")}${item("NO_COLOR", "if it is set, nothing is printed in colour")}.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.BR proc (5)
.PP
The documentation stands in /usr/share/doc/treewarden.
`;
}

if (import.meta.main) process.stdout.write(await manPage());
