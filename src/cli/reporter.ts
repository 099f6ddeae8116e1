// `treewarden reporter OPTIONS`: treewarden's own, started by the supervisor as an unprivileged user.
import { configSchema } from "../config/config.ts";
import { readPackets } from "../linux/packets.ts";
import { ReporterRefused, runReporter } from "../reporter/reporter.ts";
import { parseReporterOptions } from "../reporter/reporter-options.ts";
import { decodeOrders, inherited } from "../supervisor/inherited.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

export async function reporter(text: string): Promise<void> {
  let orders: Promise<{ readonly close: () => void }> | undefined;
  try {
    await runReporter({
      options: parseReporterOptions(text, configSchema),
      reportFd: inherited.report,
      onStop: (stop) => {
        orders = listen(stop);
      },
      environment: process.env,
      warn,
    });
  } catch (error) {
    // Left open it would keep a process that has nothing more to do.
    (await orders)?.close();
    if (error instanceof ReporterRefused)
      throw new CommandError(exitCodes.notAllowed, error.message, error.hint);
    throw error;
  }
  // A connection that a client keeps open must not keep the process.
  process.exit(exitCodes.fine);
}

function listen(stop: () => void): Promise<{ readonly close: () => void }> {
  const orders = (packet: Uint8Array): void => {
    if (decodeOrders(packet).includes("stop")) stop();
  };
  return readPackets(inherited.control, orders, stop);
}
