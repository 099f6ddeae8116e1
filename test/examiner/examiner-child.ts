// The examiner as a process of its own, over a system that a test has made: `examiner-child.ts ROOT`.
import { existsSync } from "node:fs";
import { runExaminer } from "../../src/examiner/examiner.ts";
import { watchGrowth } from "../../src/linux/inotify.ts";
import { inherited, readControl } from "../../src/supervisor/inherited.ts";

const root = process.argv[2] ?? "/nowhere";

const watch = watchGrowth(existsSync(`${root}/var/lib/dpkg`) ? `${root}/var/lib/dpkg` : root);
if (existsSync(`${root}/etc`)) watch.addFolder(`${root}/etc`);

runExaminer({
  base: { packages: [], paths: [] },
  root,
  askFd: inherited.warden,
  controlFd: inherited.control,
  packagesFd: watch.fd,
  readOrders: () => readControl(),
  limitTime: () => undefined,
});
