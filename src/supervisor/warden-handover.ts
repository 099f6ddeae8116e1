// Replaces the warden by one with other rights, without a gap in events. The successor opens its source of events and
// loads the policy while the present warden goes on; only then is that one told to stop, and its successor to proceed.
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import type { SpawnOptions } from "../linux/spawn.ts";
import { ChildSlot } from "./child-slot.ts";
import { readWardenMessages } from "./inherited.ts";
import { KeptDescriptors, keepAndClose, NOTHING_KEPT } from "./kept-objects.ts";
import { createLink } from "./links.ts";
import { log } from "./log.ts";

const MS = 1e6;
/** A start takes less than a second; on a host that is out of CPU it may take several. */
const READY_WITHIN = 10_000 * MS;
/** The present warden saves the forest of a large host, and sends its last records. */
const ENDS_WITHIN = 3_000 * MS;

interface HandoverInputs {
  readonly poll: Poll;
  /** The token of the successor's end, and that of its control socket. */
  readonly endToken: number;
  readonly controlToken: number;
  /** The command of the successor, which gets this end of its control pair. */
  readonly command: (controlOfWarden: number) => SpawnOptions;
  readonly stopPresent: () => void;
  readonly killPresent: () => void;
}

interface ControlPair {
  readonly controlWarden: number;
  readonly controlOfWarden: number;
}

export class WardenHandover implements Disposable {
  private readonly inputs: HandoverInputs;
  private readonly slot: ChildSlot;
  private pair: ControlPair | undefined;
  private isReady = false;
  /** What is kept of the successor. */
  private kept = new KeptDescriptors();
  /** The successor is to replace the warden that runs. One that is not wanted any more may still be ending. */
  private isWanted = false;
  /** When the next step is overdue; ns, CLOCK_MONOTONIC. Infinite while no warden is replaced. */
  dueAt = Number.POSITIVE_INFINITY;

  constructor(inputs: HandoverInputs) {
    this.inputs = inputs;
    this.slot = new ChildSlot({
      role: "warden",
      poll: inputs.poll,
      token: inputs.endToken,
      startAt: 0,
      failureEndsRun: false,
      command: () => inputs.command(this.openPair().controlOfWarden),
    });
  }

  /** The present warden has asked for a successor. */
  begin(now: number): void {
    if (this.slot.isRunning) return;
    log("starting the warden's successor, which has other rights");
    this.dueAt = now + READY_WITHIN;
    this.isWanted = true;
    this.slot.start();
    if (!this.slot.isRunning) this.fail();
  }

  /** The successor has sent something on its control socket. */
  onControl(now: number): void {
    if (this.pair === undefined) return;
    const messages = readWardenMessages(this.pair.controlWarden);
    for (const message of messages)
      if (typeof message === "object" && "keep" in message)
        keepAndClose(message.keep, this.isWanted ? this.kept : undefined);
    const isReady = messages.includes("ready");
    if (!isReady || this.isReady || !this.isWanted) return;
    this.isReady = true;
    this.dueAt = now + ENDS_WITHIN;
    this.inputs.stopPresent();
  }

  /**
   * The successor has ended before it took over: the present warden stops, and another one is started as after a crash.
   * One that was cancelled changes nothing.
   */
  onSuccessorEnd(): void {
    const { description } = this.slot.ended();
    log(`the warden's successor ${description}`);
    this.fail();
  }

  /**
   * The present warden has ended. Moves the successor into `slot` and returns its control pair, and what is kept of it;
   * undefined if there is none that is ready, and then an unfinished one is killed.
   */
  finish(slot: ChildSlot): { readonly pair: ControlPair; readonly kept: KeptDescriptors } | undefined {
    const { pair } = this;
    if (!this.isReady || pair === undefined) {
      this.cancel();
      return undefined;
    }
    this.inputs.poll.remove(pair.controlWarden);
    this.pair = undefined;
    this.forget();
    slot.take(this.slot);
    const { kept } = this;
    this.kept = new KeptDescriptors();
    return { pair, kept };
  }

  /** To be called when `dueAt` has come. */
  onOverdue(): void {
    this.dueAt = Number.POSITIVE_INFINITY;
    if (this.isReady) {
      log("the warden does not make room for its successor; killing it");
      this.inputs.killPresent();
    } else this.kill();
  }

  /** Ends a successor that has not taken over, and lets the warden that runs go on. */
  cancel(): void {
    this.kept.replace(NOTHING_KEPT);
    this.forget();
    this.kill();
  }

  [Symbol.dispose](): void {
    this.slot[Symbol.dispose]();
  }

  private fail(): void {
    const { isWanted } = this;
    this.closePair();
    this.kept.replace(NOTHING_KEPT);
    this.forget();
    if (isWanted) this.inputs.stopPresent();
  }

  private forget(): void {
    this.isReady = false;
    this.isWanted = false;
    this.dueAt = Number.POSITIVE_INFINITY;
  }

  private kill(): void {
    if (this.slot.isRunning) this.slot.kill();
  }

  private openPair(): ControlPair {
    this.closePair();
    const { controlWarden, controlOfWarden } = createLink("controlWarden");
    if (controlWarden === undefined || controlOfWarden === undefined) throw new Error("a link has two ends");
    this.pair = { controlWarden, controlOfWarden };
    this.inputs.poll.add(controlWarden, this.inputs.controlToken, EPOLLIN);
    return this.pair;
  }

  private closePair(): void {
    if (this.pair === undefined) return;
    this.inputs.poll.remove(this.pair.controlWarden);
    closeDescriptor(this.pair.controlWarden);
    closeDescriptor(this.pair.controlOfWarden);
    this.pair = undefined;
  }
}
