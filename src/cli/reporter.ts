// `treewarden reporter`: internal, started by the supervisor as an unprivileged user.
import { configSchema } from "../config/config.ts";
import { readPackets } from "../linux/packets.ts";
import { ReporterRefused, runReporter } from "../reporter/reporter.ts";
import { parseReporterPlan } from "../reporter/reporter-options.ts";
import { decodeOrders, inherited } from "../supervisor/inherited.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

export async function reporter(text: string): Promise<void> {
  const { options, environment } = parseReporterPlan(text, configSchema);
  // OpenTelemetry's exporters read process.env. Variables that are set at run time do not appear in /proc/PID/environ.
  Object.assign(process.env, environment);
  let orders: Promise<{ readonly close: () => void }> | undefined;
  try {
    await runReporter({
      options,
      reportFd: inherited.report,
      onStop: (stop) => {
        orders = listen(stop);
      },
      environment: process.env,
      warn,
    });
  } catch (error) {
    // An open control socket would keep the process alive.
    (await orders)?.close();
    if (error instanceof ReporterRefused)
      throw new CommandError(exitCodes.notAllowed, error.message, error.hint);
    throw error;
  }
  // Connections that a client keeps open must not keep the process alive.
  process.exit(exitCodes.fine);
}

function listen(stop: () => void): Promise<{ readonly close: () => void }> {
  const orders = (packet: Uint8Array): void => {
    if (decodeOrders(packet).includes("stop")) stop();
  };
  return readPackets(inherited.control, orders, stop);
}
