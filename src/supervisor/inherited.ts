// The descriptors that warden, reporter and examiner inherit, and the orders that arrive on one of them.
import { closeDescriptor } from "../linux/descriptor.ts";
import { receiveDescriptors } from "../linux/descriptor-passing.ts";
import type { SignalName } from "../linux/signalfd.ts";
import { receivePacket, sendPacket } from "../linux/socketpair.ts";
import { type OwnPids, type ProcessName, processNames } from "../vocabulary/processes.ts";
import { type DescribedDescriptors, keptIn, receivePackets } from "./kept-objects.ts";

/**
 * Descriptors of the supervisor's children. None is close-on-exec.
 * - `report`: packets from the warden to the reporter. The supervisor keeps both ends open, so neither side sees a
 *   hang-up when the other one dies: a restarted warden continues on the same socket. A restarted reporter gets a new
 *   socket, because another process may have a copy of the old one; the warden gets its end as a `NewLink`.
 * - `control`: orders from the supervisor, see `readControl`. A hang-up means that no supervisor is left.
 * - `deadMan`: warden and reporter. A watchdog timer that the process sets again and again, and the supervisor kills a
 *   process that does not, see watchdog.ts. The supervisor sets it when it starts the process.
 * - `deadManOfExaminer`: the same for the examiner, which sets it for each file and each reading of the database.
 * - `examiner`: the warden only. Sends questions and receives answers; the supervisor keeps both ends, as for `report`.
 * - `kept`: the warden only. What is kept of the warden before it, see `readKept`: a file, and after it the descriptors.
 * - `warden`: the examiner only, the other end of `examiner`.
 * - `packages`: the examiner only, a `GrowthWatch` on the package database and on /etc. It lives as long as the run, so changes
 *   that happen while no examiner runs wait for the next one.
 */
export const inherited = {
  report: 3,
  control: 4,
  deadMan: 5,
  examiner: 6,
  kept: 7,
  warden: 3,
  packages: 5,
  deadManOfExaminer: 6,
} as const;

/** Signals that are blocked in every process; only the supervisor reads them. A service manager sends SIGTERM to all. */
export const handledSignals: readonly SignalName[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"];

/**
 * The longest time between two polls of the warden, or two turns of the reporter's event loop, in ms: many times the
 * slowest regular work, a scan of a large /proc.
 */
export const DEAD_MAN_MS = 10_000;
/**
 * A watchdog timer expires this many times within that time. At the first expiration the supervisor notes what the
 * process has done so far, at the last one it decides.
 */
export const DEAD_MAN_EXPIRATIONS = 5;
/** The interval at which a watchdog timer must expire for a time limit of `limitMs`, ns. */
export function watchdogInterval(limitMs: number): number {
  return Math.max(1, Math.floor((limitMs * 1e6) / DEAD_MAN_EXPIRATIONS));
}
/** That of warden and reporter. */
export const DEAD_MAN_INTERVAL_NS = watchdogInterval(DEAD_MAN_MS);

/**
 * - `reload`: read policies and configuration again.
 * - `request`: read the folder of requests.
 * - `stop`: shut down. The warden sends its last records and ends; the reporter is stopped after it, reads what is
 *   left, flushes its outputs and ends.
 * - `proceed`: a warden that was started as the successor of another one takes over, because that one has ended.
 * - `hangup`: as `stop`, because no supervisor is left.
 *
 * Children take orders only this way: TERM, HUP, INT and USR1 are blocked in them, and the supervisor receives them.
 */
export type Control = "reload" | "request" | "stop" | "proceed" | "hangup";
export type SupervisorOrder = Exclude<Control, "hangup"> | Restarted;

/** A process was started again, which the warden counts and records. The warden only. */
export interface Restarted {
  readonly restarted: ProcessName;
  /** How the process before it has ended: a signal's name, `exit N`, `killed` (by the supervisor) or `unknown`. */
  readonly ended: string;
}

/** Another end of the socket pair to a process that was started again. The warden only. */
export interface NewLink {
  readonly link: "reporter" | "examiner";
  /** Belongs to the receiver. */
  readonly fd: number;
  /** The old socket was shut down, which treewarden itself never does. */
  readonly wasShutDown: boolean;
}
export type LinkedProcess = NewLink["link"];

/** The pids of treewarden's processes, after one of them was started. The warden only. */
export interface PidsOfRun {
  readonly pids: OwnPids;
}

const orders = ["reload", "request", "stop", "proceed"] as const;
/** No end has a longer name. */
const RESTARTED = /^restarted ([a-z]+) ([A-Za-z0-9 ]{1,20})$/;
const linkWords = { "link reporter": "reporter", "link examiner": "examiner" } as const;
const SHUT_DOWN = " after shutdown";
const PIDS = "pids";
const buffer = new Uint8Array(new ArrayBuffer(256));
const decoder = new TextDecoder();

/** An order as it is sent: a line, because a reader may merge packets. */
export function encodeOrder(order: SupervisorOrder): Uint8Array {
  return new TextEncoder().encode(`${lineOf(order)}\n`);
}

function lineOf(order: SupervisorOrder): string {
  return typeof order === "string" ? order : `restarted ${order.restarted} ${order.ended}`;
}

/** The packet that must carry the descriptor of a NewLink. */
export function encodeNewLink({ link, wasShutDown }: Omit<NewLink, "fd">): Uint8Array {
  return new TextEncoder().encode(`link ${link}${wasShutDown ? SHUT_DOWN : ""}\n`);
}

/** A packet such as `pids warden=12 reporter=14`. */
export function encodePids(pids: OwnPids): Uint8Array {
  const words = processNames.flatMap((name) => (pids[name] === undefined ? [] : [`${name}=${pids[name]}`]));
  return new TextEncoder().encode(`${[PIDS, ...words].join(" ")}\n`);
}

/**
 * The orders in `bytes`, for readers that receive through the runtime; unknown lines of another version are skipped.
 */
export function decodeOrders(bytes: Uint8Array): readonly SupervisorOrder[] {
  const lines = decoder.decode(bytes).split("\n");
  return lines.flatMap((line) => orders.find((order) => order === line) ?? decodeRestarted(line) ?? []);
}

function decodeRestarted(line: string): Restarted | undefined {
  const [, name, ended = ""] = RESTARTED.exec(line) ?? [];
  const restarted = processNames.find((process) => process === name);
  return restarted === undefined ? undefined : { restarted, ended };
}

/** Reads all waiting orders from the control socket, oldest first. Never blocks. */
export function readControl(fd: number = inherited.control): readonly Control[] {
  const controls: Control[] = [];
  for (;;) {
    const length = receivePacket(fd, buffer);
    if (length < 0) return controls;
    if (length === 0) return [...controls, "hangup"];
    controls.push(...decodeOrders(buffer.subarray(0, length)).filter((order) => typeof order === "string"));
  }
}

/** As `readControl`, for the warden, which also gets descriptors this way. */
export function readWardenControl(
  fd: number = inherited.control,
): readonly (Control | Restarted | NewLink | PidsOfRun)[] {
  const controls: (Control | Restarted | NewLink | PidsOfRun)[] = [];
  for (;;) {
    const { length, descriptors } = receiveDescriptors(fd, buffer);
    if (length < 0) return controls;
    if (length === 0) return [...controls, "hangup"];
    const packet = buffer.subarray(0, length);
    const message = decodeNewLink(packet, descriptors) ?? decodePids(packet);
    if (message !== undefined) controls.push(message);
    else controls.push(...decodeOrders(packet));
  }
}

/**
 * What a warden sends to the supervisor. `successor`: start another warden, with the rights of the configuration in force,
 * and stop this one once that is ready. `ready`: sent by that one. `watching`: the sensor is subscribed, and what is in
 * force, as one line for people; sent again when that changes.
 */
export type WardenMessage = "successor" | "ready" | { readonly watching: string };
const WATCHING = "watching ";
/** The longest text of a warden's message in bytes. */
const MESSAGE_BYTES = 1024;

/** The argument of a warden that is started as a successor. */
export const AS_SUCCESSOR = "successor";
/** The argument of a reporter that is not the first of its run. */
export const AFTER_ANOTHER = "after-another";

/** Sends a message from a warden; false if the supervisor does not read them. */
export function sendWardenMessage(message: WardenMessage, fd: number = inherited.control): boolean {
  const text = typeof message === "string" ? message : WATCHING + message.watching;
  return sendPacket(fd, new TextEncoder().encode(text).subarray(0, MESSAGE_BYTES));
}

/**
 * The messages of a warden that wait at the supervisor's end of its control socket, oldest first, and what it wants to be
 * kept (`sendKept`), with descriptors that belong to the caller. Never blocks.
 */
export function readWardenMessages(
  fd: number,
): readonly (WardenMessage | { readonly keep: DescribedDescriptors })[] {
  const messages: (WardenMessage | { readonly keep: DescribedDescriptors })[] = [];
  for (const received of receivePackets(fd)) {
    const keep = keptIn(received);
    if (keep !== undefined) {
      messages.push({ keep });
      continue;
    }
    received.descriptors.forEach(closeDescriptor);
    const text = decoder.decode(received.packet);
    if (text === "successor" || text === "ready") messages.push(text);
    else if (text.startsWith(WATCHING))
      messages.push({ watching: text.slice(WATCHING.length, MESSAGE_BYTES) });
  }
  return messages;
}

/** Undefined if the packet carries no link; descriptors of other packets are closed. */
function decodeNewLink(packet: Uint8Array, descriptors: readonly number[]): NewLink | undefined {
  const line = decoder.decode(packet).trimEnd();
  const wasShutDown = line.endsWith(SHUT_DOWN);
  const word = wasShutDown ? line.slice(0, -SHUT_DOWN.length) : line;
  const [fd, ...others] = descriptors;
  for (const other of others) closeDescriptor(other);
  if (fd === undefined) return undefined;
  if (word === "link reporter" || word === "link examiner") return { link: linkWords[word], fd, wasShutDown };
  closeDescriptor(fd);
  return undefined;
}

/** Undefined if the packet carries no pids; names of another version are skipped. */
function decodePids(packet: Uint8Array): PidsOfRun | undefined {
  const [first, ...words] = decoder.decode(packet).trimEnd().split(" ");
  if (first !== PIDS) return undefined;
  const pairs = words.map((word) => word.split("="));
  return {
    pids: Object.fromEntries(
      processNames.flatMap((name) => {
        const pid = Number(pairs.find(([key]) => key === name)?.[1]);
        return Number.isSafeInteger(pid) && pid > 0 ? [[name, pid]] : [];
      }),
    ),
  };
}
