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
];

/** Installs what is missing; why the server cannot be had, undefined if it can. In CI it always can, or the test fails. */
export function missingServer(): string | undefined {
  const missing = needed.filter(([path]) => !existsSync(path)).map(([, name]) => name);
  if (missing.length === 0) return undefined;
  if (process.geteuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    // RUNLEVEL: packages must not start their daemons.
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    for (const args of [
      ["update", "-q"],
      ["install", "-qy", "--no-install-recommends", ...missing],
    ])
      Bun.spawnSync(["apt-get", ...args], { env, stdout: "ignore", stderr: "inherit", timeout: 240_000 });
  }
  const still = needed.filter(([path]) => !existsSync(path)).map(([, name]) => name);
  if (still.length === 0) return undefined;
  const reason = `packages are missing: ${still.join(" ")}`;
  if (process.env.CI === "true") throw new Error(reason);
  return reason;
}
