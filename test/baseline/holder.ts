// Holds a state directory's lock as a supervisor does, and ends with the first request.
import { openSync, writeSync } from "node:fs";
import { tryLock } from "../../src/linux/flock.ts";

const fd = openSync(process.argv[2] ?? "", "r+");
if (!tryLock(fd)) process.exit(1);
writeSync(fd, `${process.pid}\n`, 0);
process.on("SIGUSR1", () => {
  process.stdout.write("SIGUSR1\n", () => process.exit(0));
});
setTimeout(() => process.exit(1), 10_000);
process.stdout.write("ready\n");
