// A successor that does not replace the warden that runs does not stop it either.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { openSync } from "node:fs";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { Poll } from "../../src/linux/epoll.ts";
import { copyHigh } from "../../src/linux/spawn.ts";
import { ChildSlot } from "../../src/supervisor/child-slot.ts";
import { sendWardenMessage } from "../../src/supervisor/inherited.ts";
import { WardenHandover } from "../../src/supervisor/warden-handover.ts";

const WARDEN = 1;
const END = 2;
const CONTROL = 3;
/** The longest wait for a child to end, ms. */
const ENDS_WITHIN = 5_000;

let poll: Poll;
let nowhere = -1;
beforeEach(() => {
  poll = new Poll();
  nowhere = openSync("/dev/null", "r+");
});
afterEach(() => {
  poll[Symbol.dispose]();
  closeDescriptor(nowhere);
});

/** A handover, whose successor is this program: what it does does not matter, the test sends its messages. */
class Rig implements Disposable {
  readonly calls: string[] = [];
  controlOfSuccessor = -1;
  readonly warden = new ChildSlot({
    role: "warden",
    poll,
    token: WARDEN,
    command: () => {
      throw new Error("not started here");
    },
    startAt: 0,
    failureEndsRun: false,
  });
  readonly handover = new WardenHandover({
    poll,
    endToken: END,
    controlToken: CONTROL,
    command: (controlOfWarden) => {
      this.controlOfSuccessor = copyHigh(controlOfWarden);
      return { args: ["warden"], descriptors: [], environment: {}, output: nowhere, errors: nowhere };
    },
    stopPresent: () => this.calls.push("stop"),
    killPresent: () => this.calls.push("kill"),
  });

  sendReady(): void {
    sendWardenMessage("ready", this.controlOfSuccessor);
    this.handover.onControl(0);
  }

  waitForEnd(): void {
    const until = Date.now() + ENDS_WITHIN;
    while (Date.now() < until) {
      const ready = poll.wait(100);
      if (poll.tokens.slice(0, ready).includes(END)) {
        this.handover.onSuccessorEnd();
        return;
      }
    }
    throw new Error("the successor has not ended");
  }

  [Symbol.dispose](): void {
    this.handover[Symbol.dispose]();
    this.warden[Symbol.dispose]();
    closeDescriptor(this.controlOfSuccessor);
  }
}

test("a successor that is ready has the present warden stopped, and takes its place", () => {
  using rig = new Rig();
  rig.handover.begin(0);
  rig.sendReady();
  rig.sendReady();
  expect(rig.calls).toEqual(["stop"]);
  expect(rig.handover.finish(rig.warden)).toBeDefined();
  expect(rig.warden.isRunning).toBe(true);
  rig.warden.kill();
});

test("a successor that ends early has the present warden stopped", () => {
  using rig = new Rig();
  rig.handover.begin(0);
  rig.handover.onOverdue();
  rig.waitForEnd();
  expect(rig.calls).toEqual(["stop"]);
});

test("the end of a successor that came too late does not stop the warden that was started instead", () => {
  using rig = new Rig();
  rig.handover.begin(0);
  expect(rig.handover.finish(rig.warden)).toBeUndefined();
  rig.waitForEnd();
  expect([rig.calls, rig.handover.dueAt]).toEqual([[], Number.POSITIVE_INFINITY]);
});

test("a successor that becomes ready too late does not stop the warden that was started instead", () => {
  using rig = new Rig();
  rig.handover.begin(0);
  rig.handover.finish(rig.warden);
  rig.sendReady();
  expect(rig.handover.finish(rig.warden)).toBeUndefined();
  rig.waitForEnd();
  expect(rig.calls).toEqual([]);
});
