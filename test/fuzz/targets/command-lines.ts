// Argument vectors: what a process really runs, its label and tree, and the secrets in its arguments.
import { createIdentifier } from "../../../src/fingerprint/identify.ts";
import { decodeText } from "../../../src/linux/text.ts";
import { redactArguments } from "../../../src/report/redaction/arguments.ts";
import type { FuzzTarget } from "../target.ts";

const identify = createIdentifier();

/** The first line is the executable, the second the path given to exec, the third the arguments, with NUL between them. */
export const commandLines: FuzzTarget = {
  name: "command-lines",
  parses: "executable, path and arguments of an exec, for the runnable and the redaction of secrets",
  weight: 8,
  words: [
    "-c",
    "--",
    "-e",
    "--password=",
    "TOKEN=",
    "/usr/bin/env\n",
    "\u0000",
    "https://u:p@h/",
    "$(",
    "-m",
  ],
  parse(input) {
    const [executable = "", filename = "", ...rest] = decodeText(input).split("\n");
    const args = rest.join("\n").split("\u0000");
    const {
      label,
      folded = "",
      path = "",
    } = identify({
      executable: executable === "" ? undefined : executable,
      executableMemfd: executable.startsWith("memfd:"),
      filename: filename === "" ? undefined : filename,
      script: undefined,
      args,
      cwd: "/home/user",
    });
    const hidden = redactArguments(args);
    if (hidden.length !== args.length) throw new Error("the redaction changed the number of arguments");
    return label.length + folded.length + path.length + hidden.join(" ").length;
  },
};
