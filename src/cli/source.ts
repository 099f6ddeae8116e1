// Opening the source of events for a command: what the kernel refuses is told with what to do about it.
import type { SourceChoice } from "../config/config.ts";
import { NoSensor, type OpenedSensor, openSensor, type SensorOptions } from "../sensor/open.ts";
import { CommandError, exit } from "./voice.ts";

export function openSource(choice: SourceChoice, options: SensorOptions): OpenedSensor {
  try {
    return openSensor(choice, options);
  } catch (error) {
    if (error instanceof NoSensor) throw new CommandError(exit.notAllowed, error.message, error.hint);
    throw error;
  }
}
