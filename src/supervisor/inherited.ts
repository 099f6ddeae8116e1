// The descriptors that warden, reporter and examiner inherit, and the orders that arrive on one of them.
import { receivePacket } from "../linux/socketpair.ts";

/**
 * Descriptors of the supervisor's children. None is close-on-exec.
 * - `report`: packets from the warden to the reporter. The supervisor keeps both ends open, so neither side sees a
 *   hang-up: unread packets wait for a restarted reporter, and a restarted warden continues on the same socket.
 * - `control`: orders from the supervisor, see `readControl`. A hang-up means that no supervisor is left.
 * - `deadMan`: the warden only. A watchdog timer that the warden arms when its poll returns and disarms before it polls
 *   again. When it expires, the supervisor kills the warden and starts another. It is armed when the warden starts.
 * - `examiner`: the warden only. Sends questions and receives answers; the supervisor keeps both ends, as for `report`.
 * - `warden`: the examiner only, the other end of `examiner`.
 * - `packages`: the examiner only, a `GrowthWatch` on the package database. It lives as long as the run, so changes
 *   that happen while no examiner runs wait for the next one.
 */
export const inherited = { report: 3, control: 4, deadMan: 5, examiner: 6, warden: 3, packages: 5 } as const;

/**
 * The longest time between two polls of the warden, in ms: many times the slowest regular work, a scan of a large
 * /proc.
 */
export const DEAD_MAN_MS = 10_000;

/**
 * - `reload`: read policies and configuration again.
 * - `request`: read the folder of requests.
 * - `stop`: shut down. The warden sends its last records and ends; the reporter is stopped after it, reads what is
 *   left, flushes its outputs and ends.
 * - `hangup`: as `stop`, because no supervisor is left.
 *
 * Children take orders only this way: TERM, HUP, INT and USR1 are blocked in them, and the supervisor receives them.
 */
export type Control = "reload" | "request" | "stop" | "hangup";
export type SupervisorOrder = Exclude<Control, "hangup">;

const orders: readonly SupervisorOrder[] = ["reload", "request", "stop"];
const buffer = new Uint8Array(new ArrayBuffer(256));
const decoder = new TextDecoder();

/** An order as it is sent: a word and a newline, because a reader may merge packets. */
export function encodeOrder(order: SupervisorOrder): Uint8Array {
  return new TextEncoder().encode(`${order}\n`);
}

/**
 * The orders in `bytes`, for readers that receive through the runtime; unknown words of another version are skipped.
 */
export function decodeOrders(bytes: Uint8Array): readonly SupervisorOrder[] {
  const words = decoder.decode(bytes).split("\n");
  return words.flatMap((word) => orders.find((order) => order === word) ?? []);
}

/** Reads all waiting orders from the control socket, oldest first. Never blocks. */
export function readControl(fd: number = inherited.control): readonly Control[] {
  const controls: Control[] = [];
  for (;;) {
    const length = receivePacket(fd, buffer);
    if (length < 0) return controls;
    if (length === 0) return [...controls, "hangup"];
    controls.push(...decodeOrders(buffer.subarray(0, length)));
  }
}
