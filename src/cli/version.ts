// `treewarden version`
import { Command } from "commander";
import { version } from "../report/version.ts";

export function versionCommand(): Command {
  return new Command("version").description("show the version and what it was built for").action(() => {
    process.stdout.write(`treewarden ${version} (linux ${process.arch}, bun ${Bun.version})\n`);
  });
}
