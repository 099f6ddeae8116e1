// The start of a warden that replaces another one: it opens its source of events and reads /proc while the other one goes
// on, and takes over when that has ended.
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import type { ScannedProcess } from "../sensor/event.ts";
import type { OpenedSensor } from "../sensor/open.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanLiveProcesses } from "./live-scan.ts";
import type { WardenOptions, WardenOrder } from "./warden-options.ts";

/** What a successor has prepared before it takes over. */
export interface Succession {
  readonly reader: FactsReader;
  readonly opened: OpenedSensor;
  /** The processes at that time, for one caller: they are not kept. */
  readonly takeProcesses: () => readonly ScannedProcess[];
  /** Orders that arrived with the one to proceed. */
  readonly orders: readonly WardenOrder[];
}

export interface SuccessionInputs extends Pick<WardenOptions, "config" | "controlFd" | "openSensor"> {
  /** Reports to the supervisor that the other warden may end. */
  readonly sendReady: () => void;
  /** Reads the orders that wait. */
  readonly readOrders: () => readonly (WardenOrder | "proceed")[];
}

/** Blocks until the other warden has ended; undefined if this one is to end instead. */
export function prepareSuccession(inputs: SuccessionInputs): Succession | undefined {
  const { config, controlFd, openSensor, sendReady, readOrders } = inputs;
  const reader = new FactsReader({ argumentBytes: config.arguments.limit });
  const opened = openSensor(config.source, reader, undefined);
  let processes = scanLiveProcesses(reader, opened.sensor);
  sendReady();
  using poll = new Poll(1);
  poll.add(controlFd, 1, EPOLLIN);
  for (;;) {
    poll.wait(-1);
    const orders = readOrders();
    const proceed = orders.indexOf("proceed");
    if (proceed >= 0)
      return {
        reader,
        opened,
        takeProcesses: () => {
          const taken = processes;
          processes = [];
          return taken;
        },
        orders: orders.slice(proceed + 1).filter((order) => order !== "proceed"),
      };
    if (orders.includes("stop") || orders.includes("hangup")) {
      opened.sensor[Symbol.dispose]();
      return undefined;
    }
  }
}
