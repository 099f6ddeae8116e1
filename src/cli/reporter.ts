// `treewarden reporter`: internal, started by the supervisor. Becomes an unprivileged user before it does anything.
import { configSchema } from "../config/config.ts";
import { setCloseOnExec } from "../linux/descriptor.ts";
import { readPackets } from "../linux/packets.ts";
import { becomeUser, type User } from "../linux/process.ts";
import { Timer } from "../linux/timerfd.ts";
import { LinkClosed, ReporterRefused, runReporter } from "../reporter/reporter.ts";
import { parseReporterPlan } from "../reporter/reporter-options.ts";
import { DEAD_MAN_INTERVAL_NS, decodeOrders, inherited } from "../supervisor/inherited.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

export async function reporter(text: string): Promise<void> {
  const { user, options, timeZone } = parseReporterPlan(text, configSchema);
  if (user !== null) dropRights(user);
  // Programs that the reporter starts, such as sendmail, get none of its descriptors.
  for (const fd of [inherited.report, inherited.control, inherited.deadMan]) setCloseOnExec(fd, true);
  process.env.TZ = timeZone;
  let orders: Promise<{ readonly close: () => void }> | undefined;
  try {
    await runReporter({
      options,
      reportFd: inherited.report,
      deadMan: { timer: new Timer(inherited.deadMan), intervalNs: DEAD_MAN_INTERVAL_NS },
      onStop: (stop) => {
        orders = listen(stop);
      },
      warn,
    });
  } catch (error) {
    // An open control socket would keep the process alive.
    (await orders)?.close();
    if (error instanceof ReporterRefused)
      throw new CommandError(exitCodes.notAllowed, error.message, error.hint);
    if (error instanceof LinkClosed) throw new CommandError(exitCodes.fault, error.message);
    throw error;
  }
  // Connections that a client keeps open must not keep the process alive.
  process.exit(exitCodes.fine);
}

function dropRights(user: User): void {
  try {
    becomeUser(user);
  } catch (error) {
    const why = `cannot run the reporter as user ${user.uid}: ${messageOf(error)}`;
    throw new CommandError(exitCodes.notAllowed, why, "CAP_SETUID and CAP_SETGID are needed to start it");
  }
}

function listen(stop: () => void): Promise<{ readonly close: () => void }> {
  const orders = (packet: Uint8Array): void => {
    if (decodeOrders(packet).includes("stop")) stop();
  };
  return readPackets(inherited.control, orders, stop);
}
