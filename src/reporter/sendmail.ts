// Passes a mail to the host's mail system.
import { SENDMAIL } from "../report/sendmail-path.ts";
import { messageOf } from "../vocabulary/errors.ts";

const TIMEOUT_MS = 30_000;
/** Some mail programs find other programs through PATH. */
const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C" };

/**
 * Passes a complete mail to `command` (`-t`: recipients from the header, `-i`: a line with only a dot does not end the
 * mail). Resolves with undefined on success, otherwise with the reason. Ends the command after `ms`, by default 30 s.
 * Its error output goes to standard error.
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
