// `treewarden reporter OPTIONS`: treewarden's own, started by the supervisor as an unprivileged user.
import { Command } from "commander";
import { readPackets } from "../linux/packets.ts";
import type { ReporterOptions } from "../report/options.ts";
import { ReporterRefused, runReporter } from "../report/reporter.ts";
import { decodeOrders, inherited } from "../supervisor/inherited.ts";
import { CommandError, exit, warn } from "./voice.ts";

export function reporterCommand(): Command {
  return new Command("reporter").argument("<options>").action(async (text: string) => {
    let orders: Promise<{ readonly close: () => void }> | undefined;
    try {
      await runReporter({
        options: parseOptions(text),
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
        throw new CommandError(exit.notAllowed, error.message, error.hint);
      throw error;
    }
    // A connection that a client keeps open must not keep the process.
    process.exit(exit.fine);
  });
}

function listen(stop: () => void): Promise<{ readonly close: () => void }> {
  const orders = (packet: Uint8Array): void => {
    if (decodeOrders(packet).includes("stop")) stop();
  };
  return readPackets(inherited.control, orders, stop);
}

/** The supervisor's own words, made by `treewarden run` a moment ago. */
function parseOptions(text: string): ReporterOptions {
  try {
    const options: ReporterOptions = JSON.parse(text);
    return options;
  } catch {
    throw new CommandError(exit.usage, "this command is treewarden's own: use treewarden run");
  }
}
