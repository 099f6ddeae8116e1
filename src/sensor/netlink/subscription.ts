// The two sockets of the sensor, subscribed and filtered.
//
// `events` gets every event that is wanted, in one order. `bell` gets only execs, and only to wake the reader: an exec is
// worth waking up for at once, since /proc knows of the program only while it runs; all the rest waits in `events`. The
// two copies of an exec bear the same time to the nanosecond.
import {
  CN_IDX_PROC,
  eventFilter,
  frame,
  isProcessEvent,
  NETLINK_CONNECTOR,
  operation,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_NONE,
  PROC_EVENT_UID,
} from "../../linux/connector.ts";
import { EPOLLIN, Poll } from "../../linux/epoll.ts";
import { NetlinkSocket, type ReceiveBatch } from "../../linux/socket.ts";
import { explained, refused, unanswered } from "./unavailable.ts";

/** The kernel answers within microseconds; this is for a machine that hardly runs. */
const ANSWER_MS = 2000;
const BELL_BYTES = 1 << 20;
/** A window ends when the bell was silent for so long. */
const WAIT_MS = 10;

export class Subscription implements Disposable {
  readonly events: NetlinkSocket;
  readonly bell: NetlinkSocket;

  /** `bytes`: room for queued events; the kernel doubles it. Throws NetlinkUnavailable. */
  constructor(bytes: number, batch: ReceiveBatch) {
    using stack = new DisposableStack();
    try {
      this.bell = stack.use(new NetlinkSocket(NETLINK_CONNECTOR));
      this.bell.filter(eventFilter([PROC_EVENT_EXEC]));
      this.bell.reserve(BELL_BYTES);
      this.bell.ignoreOverrun();
      this.bell.waitUpTo(WAIT_MS);
      this.bell.bind(CN_IDX_PROC);
      // Bound after the bell: the kernel delivers to the last one bound first, so that when the bell rings the event
      // is there (net/netlink/af_netlink.c, hlist_add_head). Only latency hangs on it.
      this.events = stack.use(new NetlinkSocket(NETLINK_CONNECTOR));
      this.events.filter(
        eventFilter([PROC_EVENT_NONE, PROC_EVENT_FORK, PROC_EVENT_EXEC, PROC_EVENT_UID, PROC_EVENT_EXIT]),
      );
      this.events.reserve(bytes);
      this.events.bind(CN_IDX_PROC);
      this.events.send(operation("listen"));
    } catch (error) {
      throw explained(error);
    }
    try {
      awaitAnswer(this.events, batch);
    } catch (error) {
      this.ignore();
      throw error;
    }
    stack.move();
  }

  [Symbol.dispose](): void {
    this.ignore();
    this.events[Symbol.dispose]();
    this.bell[Symbol.dispose]();
  }

  /** Without this the kernel makes events for ever: before Linux 6.6 it does not notice that a listener is gone. */
  private ignore(): void {
    try {
      this.events.send(operation("ignore"));
    } catch {
      // The subscription never was, or the kernel is out of memory: nothing more can be done.
    }
  }
}

/** Waits for the answer to the subscription. Events before it are not ours yet: the caller scans after it. */
function awaitAnswer(socket: NetlinkSocket, batch: ReceiveBatch): void {
  using poll = new Poll(1);
  poll.add(socket.fd, 0, EPOLLIN);
  const deadline = performance.now() + ANSWER_MS;
  for (;;) {
    const left = deadline - performance.now();
    if (left <= 0) throw unanswered();
    poll.wait(Math.ceil(left));
    const received = batch.receive(socket);
    for (let i = 0; i < received; i += 1) {
      const at = i * batch.stride;
      if (batch.sender(i) !== 0 || !isProcessEvent(batch.view, at, batch.length(i))) continue;
      if (batch.view.getUint32(at + frame.what, true) !== PROC_EVENT_NONE) continue;
      const failure = batch.view.getUint32(at + frame.error, true);
      if (failure !== 0) throw refused(failure);
      return;
    }
  }
}
