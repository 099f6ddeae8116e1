// `treewarden completion`
import { Argument, Command } from "commander";
import { completedCommands } from "./completion/command-table.ts";
import { completionScript, type Shell, shells } from "./completion/scripts.ts";

const examples = `
Examples:
  source <(treewarden completion bash)
  treewarden completion zsh > /usr/local/share/zsh/site-functions/_treewarden
  treewarden completion fish > ~/.config/fish/completions/treewarden.fish
`;

export function completionCommand(): Command {
  return new Command("completion")
    .description("print the script by which a shell completes treewarden's command line")
    .addArgument(new Argument("<shell>", "which").choices([...shells]))
    .addHelpText("after", examples)
    .action(async (shell: Shell) => {
      const { wholeProgram } = await import("./program.ts");
      process.stdout.write(completionScript(shell, completedCommands(await wholeProgram())));
    });
}
