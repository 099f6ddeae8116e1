// The packages of the server of server-fixture.ts: installed where they are missing and may be.
import { existsSync } from "node:fs";

/** Binary and the package it comes from. */
const needed: readonly (readonly [string, string])[] = [
  ["/usr/sbin/nginx", "nginx-light"],
  ["/usr/sbin/fcgiwrap", "fcgiwrap"],
  ["/usr/sbin/cron", "cron"],
  ["/usr/sbin/sshd", "openssh-server"],
  ["/usr/bin/sftp", "openssh-client"],
  ["/usr/sbin/atd", "at"],
  ["/usr/sbin/apache2", "apache2"],
  ["/usr/bin/pg_ctlcluster", "postgresql"],
  ["/usr/bin/perl", "perl"],
  ["/usr/bin/python3", "python3"],
  ["/usr/bin/curl", "curl"],
  ["/usr/bin/java", "default-jre-headless"],
  ["/usr/sbin/logrotate", "logrotate"],
  ["/usr/bin/busybox", "busybox"],
  ["/usr/bin/zsh", "zsh"],
  ["/usr/bin/sudo", "sudo"],
  ["/usr/bin/make", "make"],
];

/** Set to `no` by `npm test -- --no-install`: packages that are missing stay missing, and the tests that need them skip. */
export const INSTALL_VARIABLE = "TREEWARDEN_TEST_INSTALL";

/** Debian's packages that the tests of a server need and that this host lacks. */
export function missingPackages(): readonly string[] {
  return needed.filter(([path]) => !existsSync(path)).map(([, name]) => name);
}

/** Whether missing packages can be installed here, and nobody has forbidden it. */
export function mayInstall(): boolean {
  const isForbidden = process.env[INSTALL_VARIABLE] === "no";
  return !isForbidden && process.geteuid?.() === 0 && existsSync("/usr/bin/apt-get");
}

/** Installs what is missing; why the server cannot be had, undefined if it can. In CI it always can, or the test fails. */
export function missingServer(): string | undefined {
  const missing = missingPackages();
  if (missing.length === 0) return undefined;
  if (mayInstall()) {
    // RUNLEVEL: packages must not start their daemons.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    for (const args of [
      ["update", "-q"],
      ["install", "-qy", "--no-install-recommends", ...missing],
    ])
      Bun.spawnSync(["apt-get", ...args], { env, stdout: "ignore", stderr: "inherit", timeout: 240_000 });
  }
  const still = missingPackages();
  if (still.length === 0) return undefined;
  const reason = `packages are missing: ${still.join(" ")}`;
  if (process.env.CI === "true") throw new Error(reason);
  return reason;
}
