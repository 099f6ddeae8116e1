// An SSH server with one key, below a service manager.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";
import { isRunning, type Starter } from "./service-manager.ts";
import { until } from "./treewarden.ts";

/**
 * For sshd_config: the default key exchange adds one that withstands quantum computers, which takes half the time of a
 * login on loopback.
 */
export const FAST_KEY_EXCHANGE = "KexAlgorithms curve25519-sha256";

export class SmallSshd implements AsyncDisposable {
  private readonly folder: string;
  private readonly port = freePort();
  private readonly madeRun = !existsSync("/run/sshd");

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async start(folder: string, starter: Starter): Promise<SmallSshd> {
    const sshd = new SmallSshd(folder);
    if (sshd.madeRun) mkdirSync("/run/sshd", { mode: 0o755 });
    for (const key of ["host-key", "key"])
      Bun.spawnSync(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, key)]);
    writeFileSync(
      join(folder, "sshd_config"),
      `ListenAddress 127.0.0.1:${sshd.port}
HostKey ${join(folder, "host-key")}
PidFile ${join(folder, "sshd.pid")}
AuthorizedKeysFile ${join(folder, "key.pub")}
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
LogLevel QUIET
${FAST_KEY_EXCHANGE}
MaxStartups 100
`,
    );
    await starter.run("ssh.service", ["/usr/sbin/sshd", "-f", join(folder, "sshd_config")]);
    await until("sshd has begun", () => existsSync(join(folder, "sshd.pid")));
    return sshd;
  }

  /** The command line of a client that executes `code` by root's login shell. */
  client(code: string): string[] {
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"];
    return [
      ...["ssh", "-F", "none", "-i", join(this.folder, "key"), "-p", `${this.port}`],
      ...options.flatMap((option) => ["-o", option]),
      ...["root@127.0.0.1", code],
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pid = Number(readFileSync(join(this.folder, "sshd.pid"), "latin1"));
    process.kill(pid, "SIGTERM");
    await until("sshd has ended", () => !isRunning(pid));
    if (this.madeRun) rmSync("/run/sshd", { recursive: true, force: true });
  }
}
