// Handing a mail to the host's own mail system.
import { SENDMAIL } from "../report/sendmail-path.ts";
import { messageOf } from "../vocabulary/errors.ts";

const TIMEOUT_MS = 30_000;
/** For those of its programs that look for others by name. */
const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C" };

/**
 * Gives a whole mail to `command` (`-t`: to whom its header says, `-i`: a line with only a dot does not end it). Resolves
 * with undefined once it has taken it, else with why it has not; it has 30 s. What it says goes to standard error.
 */
export async function sendMail(
  mail: string,
  command = SENDMAIL,
  ms = TIMEOUT_MS,
): Promise<string | undefined> {
  try {
    const child = Bun.spawn([command, "-t", "-i"], {
      stdio: [new TextEncoder().encode(mail), "ignore", "inherit"],
      env: environment,
      cwd: "/",
      timeout: ms,
      killSignal: "SIGKILL",
    });
    await child.exited;
    if (child.exitCode === 0) return undefined;
    const how = child.signalCode === null ? `with ${child.exitCode}` : `by ${child.signalCode}`;
    return `${command} ended ${how}`;
  } catch (error) {
    return messageOf(error);
  }
}
