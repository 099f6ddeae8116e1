// `treewarden schema`
import { Argument, Command } from "commander";
import { configurationSchema, policySchema } from "./schema/file-schemas.ts";

const examples = `
An editor that knows the schema completes and checks the file while it is written:

  treewarden schema config > /etc/treewarden/config.schema.json
  # yaml-language-server: $schema=config.schema.json        (the first line of config.yaml)

\`treewarden policy check\` and \`treewarden run --check\` check more than a schema can.
`;

export function schemaCommand(): Command {
  return new Command("schema")
    .description("print the JSON Schema of a file")
    .addArgument(new Argument("<file>", "whose").choices(["policy", "config"]))
    .addHelpText("after", examples)
    .action((file: string) => {
      const schema = file === "policy" ? policySchema() : configurationSchema();
      process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
    });
}
