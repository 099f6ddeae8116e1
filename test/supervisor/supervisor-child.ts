// A supervisor that takes over from one that has died, with children that only print the orders that they get. The same
// program is all of them: its first argument is the role.
import { openSync } from "node:fs";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { createSealedFile } from "../../src/linux/memfd.ts";
import { sendPacket } from "../../src/linux/socketpair.ts";
import { copyHigh, spawnSelf } from "../../src/linux/spawn.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import {
  DEAD_MAN_MS,
  encodeOrder,
  inherited,
  readWardenControl,
  type SupervisorOrder,
} from "../../src/supervisor/inherited.ts";
import { createLink, linkNames } from "../../src/supervisor/links.ts";
import { Supervisor } from "../../src/supervisor/supervisor.ts";
import { completeDescriptors } from "../../src/supervisor/supervisor-plan.ts";

const role = process.argv[2];
if (role === "take-over") await takeOver("waiting-warden");
else if (role === "take-over-deaf") await takeOver("deaf-warden", "reload");
else if (role === "waiting-warden" || role === "warden" || role === "reporter") printOrders(role);
// It lives until the supervisor has adopted it, and reads nothing.
else if (role === "deaf-warden") Bun.sleepSync(500);

/** Starts a warden as the previous supervisor did, sends it `order`, and becomes the supervisor. */
async function takeOver(wardenRole: string, order?: SupervisorOrder): Promise<void> {
  const plan = createSealedFile("plan", "{}");
  const others = {
    lock: openSync("/dev/null", "r"),
    deadMan: new Timer().fd,
    deadManOfReporter: new Timer().fd,
    deadManOfExaminer: new Timer().fd,
    packages: new Timer().fd,
    wardenPlan: plan,
    reporterPlan: plan,
    examinerPlan: plan,
  };
  const high = Object.entries(others).map(([name, fd]) => [name, copyHigh(fd)]);
  const descriptors = completeDescriptors(
    Object.assign(Object.fromEntries(high), ...linkNames.map(createLink)),
  );
  const { reportOfWarden, controlOfWarden, controlWarden } = descriptors;
  spawnSelf({ args: [wardenRole], descriptors: [reportOfWarden, controlOfWarden], environment: {} });
  if (order !== undefined) sendPacket(controlWarden, encodeOrder(order));
  // The previous supervisor's warden has executed its program before that supervisor dies.
  Bun.sleepSync(200);
  const standbyOf = process.ppid;
  using supervisor = new Supervisor({
    runId: "r",
    sensorFallback: false,
    deadManMs: DEAD_MAN_MS,
    descriptors,
    standbyOf,
  });
  await supervisor.run();
}

/** Prints each order that the warden gets, until no supervisor is left. */
function printOrders(by: string): void {
  using poll = new Poll();
  poll.add(inherited.control, 1, EPOLLIN);
  for (;;) {
    poll.wait(-1);
    for (const order of readWardenControl()) {
      if (order === "hangup") return;
      const name = typeof order === "string" ? order : Object.keys(order)[0];
      console.log(`${by} ${name}`);
    }
  }
}
