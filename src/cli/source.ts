// Opening the source of events for a command: what the kernel refuses is told with what to do about it.
import type { SourceChoice } from "../config/config.ts";
import type { FactsReader } from "../sensor/facts.ts";
import { NetlinkUnavailable } from "../sensor/netlink/unavailable.ts";
import { type OpenedSensor, openSensor } from "../sensor/open.ts";
import { CommandError, exit } from "./voice.ts";

export function openSource(choice: SourceChoice, reader: FactsReader): OpenedSensor {
  try {
    return openSensor(choice, reader);
  } catch (error) {
    if (error instanceof NetlinkUnavailable)
      throw new CommandError(exit.notAllowed, error.message, error.hint);
    throw error;
  }
}
