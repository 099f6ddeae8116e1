// Hands over to a command; nothing else.
import { runCommandLine } from "./cli/commandline.ts";

process.exitCode = await runCommandLine(process.argv.slice(2));
