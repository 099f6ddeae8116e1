// The examiner as a process of its own, over a system that a test has made: `examiner-child.ts ROOT`.
import { runExaminer } from "../../src/examiner/examiner.ts";
import { inherited, readControl } from "../../src/supervisor/inherited.ts";

runExaminer({
  base: { packages: [], paths: [] },
  root: process.argv[2] ?? "/nowhere",
  askFd: inherited.warden,
  controlFd: inherited.control,
  readOrders: () => readControl(),
});
