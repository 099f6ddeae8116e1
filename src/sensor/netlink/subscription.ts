// The two sockets of the sensor, subscribed and filtered in the kernel.
//
// `events` receives every event that is wanted, in one order. `wake` receives only execs, and only to wake the reader:
// /proc shows a program only while it runs, so an exec is worth waking up for at once; everything else can wait.
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

/** The kernel answers within microseconds; this is for a machine under extreme load. */
const ANSWER_MS = 2000;
/** How long a wait for the next exec lasts. */
const WAIT_MS = 10;

export class Subscription implements Disposable {
  readonly events: NetlinkSocket;
  readonly wake: NetlinkSocket;

  /** `bytes`: room for queued events; the kernel doubles it. Throws SensorUnavailable. */
  constructor(bytes: number, batch: ReceiveBatch) {
    using stack = new DisposableStack();
    try {
      this.wake = stack.use(new NetlinkSocket(NETLINK_CONNECTOR));
      this.wake.filter(eventFilter([PROC_EVENT_EXEC]));
      // One message is enough to wake the reader; the rest need not be kept.
      this.wake.ignoreOverrun();
      this.wake.waitUpTo(WAIT_MS);
      this.wake.bind(CN_IDX_PROC);
      // Bound after `wake`: the kernel delivers to the socket bound last first (hlist_add_head in
      // net/netlink/af_netlink.c), so the event is there when the reader wakes up.
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
    this.wake[Symbol.dispose]();
  }

  /** Without this the kernel goes on making events: before Linux 6.6 it does not notice that a listener is gone. */
  private ignore(): void {
    try {
      this.events.send(operation("ignore"));
    } catch {
      // There was no subscription, or the kernel is out of memory: nothing more can be done.
    }
  }
}

/** Waits for the answer to the subscription. Earlier events are ignored: the caller scans /proc afterwards. */
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
