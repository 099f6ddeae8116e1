// What warden, reporter and examiner find when they start: some descriptors, and orders on one of them.
import { receivePacket } from "../linux/socketpair.ts";

/**
 * Descriptors of the supervisor's children. None is close-on-exec.
 * - `report`: packets from the warden to the reporter. Its other end never hangs up: the supervisor keeps both, so
 *   that what was sent waits for a restarted reporter, and a restarted warden goes on with the same one.
 * - `control`: orders from the supervisor, see `readControl`. A hang-up means that every supervisor is gone.
 * - `deadMan`: the warden only. A timer that the warden arms when its poll returns and disarms before it polls again.
 *   When it expires the supervisor kills the warden and starts another. It is armed already when the warden starts.
 * - `examiner`: the warden only. Questions go out on it, answers come in. Kept at both ends like `report`.
 * - `warden`: the examiner only, the other end of that.
 * - `packages`: the examiner only, a `GrowthWatch` on the package database. One for the whole run, so that what it saw
 *   while there was no examiner waits for the next.
 */
export const inherited = { report: 3, control: 4, deadMan: 5, examiner: 6, warden: 3, packages: 5 } as const;

/** How long the warden may be away from its poll: the slowest honest work, a look at all of a big /proc, many times over. */
export const DEAD_MAN_MS = 10_000;

/**
 * - `reload`: read policies and configuration again.
 * - `request`: look into the folder of requests.
 * - `stop`: end, orderly. The warden sends what it has and ends; then the reporter is told, reads until nothing is
 *   left, flushes and ends.
 * - `hangup`: as `stop`, because no supervisor is left.
 *
 * Children listen to these alone: TERM, HUP, INT and USR1 are blocked in them, the supervisor's to receive.
 */
export type Control = "reload" | "request" | "stop" | "hangup";
export type SupervisorOrder = Exclude<Control, "hangup">;

const orders: readonly SupervisorOrder[] = ["reload", "request", "stop"];
const buffer = new Uint8Array(new ArrayBuffer(256));
const decoder = new TextDecoder();

/** An order as it crosses: a word and a newline, so that readers which merge packets can tell them apart. */
export function encodeOrder(order: SupervisorOrder): Uint8Array {
  return new TextEncoder().encode(`${order}\n`);
}

/** The orders in `bytes`, for readers that got them from the runtime; words of another version are passed over. */
export function decodeOrders(bytes: Uint8Array): readonly SupervisorOrder[] {
  const words = decoder.decode(bytes).split("\n");
  return words.flatMap((word) => orders.find((order) => order === word) ?? []);
}

/** What came over the control socket, oldest first; empty if nothing. Never waits. */
export function readControl(fd: number = inherited.control): readonly Control[] {
  const found: Control[] = [];
  for (;;) {
    const length = receivePacket(fd, buffer);
    if (length < 0) return found;
    if (length === 0) return [...found, "hangup"];
    found.push(...decodeOrders(buffer.subarray(0, length)));
  }
}
