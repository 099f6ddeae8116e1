// The hidden commands `treewarden supervisor` and `treewarden standby`. A standby waits for most of its life, so this file
// loads no more than waiting needs.
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { releaseMemory } from "../linux/own-memory.ts";
import { pidfdOpen } from "../linux/pidfd.ts";
import { isHungUp } from "../linux/poll.ts";
import { getppid, setProcessName } from "../linux/process.ts";
import { moveHigh } from "../linux/spawn.ts";
import { KeptDescriptors } from "./kept-objects.ts";
import { signLock } from "./sign-lock.ts";
import { receiveUpdates } from "./standby-updates.ts";
import { type Descriptors, mapDescriptors, parseSupervisorPlan } from "./supervisor-plan.ts";

/**
 * Runs the hidden commands `treewarden supervisor`, the first supervisor of a run, and `treewarden standby`, which
 * takes over when the supervisor dies. `text` is the plan. Resolves with the exit code.
 */
export async function continueSupervising(text: string): Promise<number> {
  const plan = parseSupervisorPlan(text);
  const updates = plan.updates === undefined ? undefined : moveHigh(plan.updates);
  let descriptors = mapDescriptors(plan.descriptors, moveHigh);
  const kept = new KeptDescriptors();
  process.chdir("/");
  if (plan.standbyOf !== undefined && updates !== undefined) {
    setProcessName("treewarden-stby");
    await releaseMemory();
    descriptors = waitForEndOf(plan.standbyOf, updates, descriptors, kept);
    closeDescriptor(updates);
  }
  setProcessName("treewarden");
  signLock(descriptors.lock);
  // Loaded only now, so that a standby takes less memory. Not by import(), which would let the event loop have a turn: it
  // waits with an empty signal mask, so that a signal of that moment would be lost. What is loaded is part of the program
  // that this process has mapped, whatever has replaced its file meanwhile.
  const { Supervisor }: typeof import("./supervisor.ts") = require("./supervisor.ts");
  using supervisor = new Supervisor({ ...plan, descriptors }, kept);
  return await supervisor.run();
}

/** Returns when the parent process `pid` has ended, with the descriptors that it had in the end; `kept` likewise. */
function waitForEndOf(
  pid: number,
  updates: number,
  descriptors: Descriptors,
  kept: KeptDescriptors,
): Descriptors {
  using handle = pidfdOpen(pid);
  // If `pid` is not the parent any more, the parent has ended and the pid may have been reused.
  if (handle === null || getppid() !== pid) return receiveUpdates(updates, descriptors, kept);
  using poll = new Poll(2);
  poll.add(handle.fd, PARENT, EPOLLIN);
  poll.add(updates, UPDATES, EPOLLIN);
  let current = descriptors;
  for (;;) {
    const ready = poll.wait(-1);
    const tokens = [...poll.tokens.subarray(0, ready)];
    // The parent's last updates are read also when its end is seen first.
    current = receiveUpdates(updates, current, kept);
    if (tokens.includes(PARENT)) return receiveUpdates(updates, current, kept);
    // The parent's end of the socket is closed, so it is ending.
    if (isHungUp(updates)) poll.remove(updates);
  }
}

const PARENT = 1;
const UPDATES = 2;
