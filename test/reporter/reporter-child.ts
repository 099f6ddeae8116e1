// A reporter as the supervisor starts it, run from the sources: options as one argument, the wire on descriptor 3.
import { runReporter } from "../../src/reporter/reporter.ts";

await runReporter({
  options: JSON.parse(process.argv[2] ?? ""),
  followsAnother: process.argv[3] === "after-another",
  reportFd: 3,
  deadMan: null,
  onStop: (stop) => process.on("SIGTERM", stop),
  warn: (message) => void process.stderr.write(`${message}\n`),
});
process.exit(0);
