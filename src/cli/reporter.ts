// `treewarden reporter`: internal, started by the supervisor. Becomes an unprivileged user before it does anything.
import { setCloseOnExec } from "../linux/descriptor.ts";
import { readPackets } from "../linux/packets.ts";
import { becomeUser, type User } from "../linux/process.ts";
import { ignoreSignals } from "../linux/signalfd.ts";
import { Timer } from "../linux/timerfd.ts";
import { certificateFiles } from "../reporter/certificate-files.ts";
import type { OtlpSettings } from "../reporter/otlp-settings.ts";
import { LinkClosed, ReporterRefused, runReporter } from "../reporter/reporter.ts";
import { parseReporterPlan } from "../reporter/reporter-options.ts";
import {
  AFTER_ANOTHER,
  DEAD_MAN_INTERVAL_NS,
  decodeOrders,
  handledSignals,
  inherited,
} from "../supervisor/inherited.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

/** `as`: AFTER_ANOTHER if it is not the first reporter of the run. */
export async function reporter(text: string, as: string | undefined): Promise<void> {
  // systemd sends SIGTERM to all processes of a unit; the reporter has to store what the warden sends until its end.
  ignoreSignals(handledSignals);
  const { user, options: planned, timeZone } = parseReporterPlan(text);
  // As root, and so before it becomes its user.
  const options = { ...planned, otlp: await currentCertificates(planned.otlp) };
  if (user !== null) dropRights(user);
  // Programs that the reporter starts, such as sendmail, get none of its descriptors.
  for (const fd of [inherited.report, inherited.control, inherited.deadMan]) setCloseOnExec(fd, true);
  process.env.TZ = timeZone;
  let orders: Promise<{ readonly close: () => void }> | undefined;
  try {
    await runReporter({
      options,
      followsAnother: as === AFTER_ANOTHER,
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

/** Loaded on demand: without certificates a reporter needs no cryptography. */
async function currentCertificates(otlp: OtlpSettings | null): Promise<OtlpSettings | null> {
  if (otlp === null || certificateFiles(otlp).length === 0) return otlp;
  const { withCertificatesNow } = await import("../reporter/renewed-certificates.ts");
  return withCertificatesNow(otlp, warn);
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
