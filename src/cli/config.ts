// `treewarden config`
import { dirname, resolve } from "node:path";
import { Command } from "commander";
import { stringify } from "yaml";
import { parseConfig } from "../config/config-file.ts";
import { convertPidtree } from "../config/pidtree/convert.ts";
import { parsePidtree } from "../config/pidtree/parse.ts";
import { anyFile, readCheckedFile } from "../linux/root-file.ts";
import { CONFIG_LIMIT, errorLine } from "./configuration.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

const examples = `
The section \`network\` goes to stdout; what has no equivalent, or another meaning, to stderr:

  treewarden config import-pidtree /etc/pidtree-bcc/config.yml >> /etc/treewarden/config.yaml
  treewarden run --check
`;

export function configCommand(): Command {
  return new Command("config").description("work on the configuration file").addCommand(importPidtree());
}

function importPidtree(): Command {
  return new Command("import-pidtree")
    .description("convert the configuration of pidtree-bcc to the section network")
    .argument("<file>", "its YAML file")
    .addHelpText("after", examples)
    .action((file: string) => {
      const parsed = parsePidtree(readText(file), file, (name, from) => {
        if (/^https?:/i.test(name)) return undefined;
        const path = resolve(dirname(from), name);
        const content = readCheckedFile(path, anyFile(CONFIG_LIMIT));
        return content.ok ? { file: path, text: content.bytes.toString("utf8") } : undefined;
      });
      if (!parsed.ok) throw new CommandError(exitCodes.usage, parsed.errors.map(errorLine));
      const { network, notes } = convertPidtree(parsed.value);
      const text = stringify({ network });
      const checked = parseConfig(text, `${file}, converted`);
      if (!checked.ok) throw new CommandError(exitCodes.usage, checked.errors.map(errorLine));
      warn(...notes);
      process.stdout.write(text);
    });
}

function readText(file: string): string {
  const content = readCheckedFile(file, anyFile(CONFIG_LIMIT));
  if (content.ok) return content.bytes.toString("utf8");
  const { kind, reason, fix } = content.problem;
  const why = kind === "missing" ? "there is no such file" : `it ${reason}`;
  throw new CommandError(exitCodes.usage, `cannot read ${file}: ${why}`, fix);
}
