// What the supervisor reports to the service manager that has started the run, by the protocol of sd_notify(3): that the
// sensor is subscribed, a line of status, that the supervisor has not hung, and which process is the main one.
import * as v from "valibot";
import { isSocketAddress, sendDatagram } from "../linux/notify-socket.ts";
import { printable } from "../linux/text.ts";

/** Of the service manager, as it is passed from supervisor to supervisor. */
export const ServiceManager = v.object({
  /** NOTIFY_SOCKET */
  socket: v.pipe(v.string(), v.check(isSocketAddress)),
  /** Interval of keep-alive messages in ns; undefined: none are expected. */
  keepAliveNs: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(1))),
});
export type ServiceManager = Readonly<v.InferOutput<typeof ServiceManager>>;

/** Three messages in the time in which the service manager expects one (sd_watchdog_enabled(3) advises at least two). */
const KEEP_ALIVES = 3;

/** The service manager in the environment of `run`; undefined if there is none, or if it cannot be reached from here. */
export function serviceManagerOf(
  environment: Readonly<Record<string, string | undefined>>,
): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: interval, WATCHDOG_PID: watched } = environment;
  if (socket === undefined || !isSocketAddress(socket)) return undefined;
  const isWatched = watched === undefined || watched === String(process.pid);
  if (!isWatched || interval === undefined || !/^[1-9]\d{0,14}$/.test(interval)) return { socket };
  return { socket, keepAliveNs: Math.ceil((Number(interval) * 1000) / KEEP_ALIVES) };
}

export class ServiceNotifier {
  private readonly manager: ServiceManager | undefined;
  private readonly send: (address: string, text: string) => boolean;
  /** When the next keep-alive message is due; ns, CLOCK_MONOTONIC. */
  dueAt = Number.POSITIVE_INFINITY;

  constructor(manager: ServiceManager | undefined, now: number, send = sendDatagram) {
    this.manager = manager;
    this.send = send;
    if (manager?.keepAliveNs !== undefined) this.dueAt = now;
  }

  /** The sensor is subscribed; `status` says what is in force. */
  ready(status: string): void {
    this.notify("READY=1", `STATUS=${printable(status)}`);
  }

  status(text: string): void {
    this.notify(`STATUS=${printable(text)}`);
  }

  stopping(): void {
    this.notify("STOPPING=1", "STATUS=stopping");
  }

  /** This process, a standby until now, is the main process of the service. */
  tookOver(): void {
    this.notify(`MAINPID=${process.pid}`);
  }

  /** Sends a keep-alive message if one is due. */
  keepAlive(now: number): void {
    if (now < this.dueAt) return;
    this.dueAt = now + (this.manager?.keepAliveNs ?? Number.POSITIVE_INFINITY);
    this.notify("WATCHDOG=1");
  }

  private notify(...lines: readonly string[]): void {
    if (this.manager !== undefined) this.send(this.manager.socket, lines.join("\n"));
  }
}
