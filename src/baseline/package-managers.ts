// What package managers start is collected like a change, and put into force only if a person accepts it (docs/baseline.md).
import { BelowProgram } from "./below-program.ts";

/** The id of the change under which it is collected. */
export const PACKAGES = "packages";

const names: readonly string[] = [
  ...["apk", "apt", "apt-get", "aptitude", "dnf", "dnf-3", "dnf5", "dpkg", "microdnf", "rpm"],
  ...["unattended-upgrade", "unattended-upgrades", "yum", "zypper"],
];

/** Debian's systemd timers start this script. */
const paths: ReadonlySet<string> = new Set([
  "/usr/lib/apt/apt.systemd.daily",
  ...["/bin", "/sbin", "/usr/bin", "/usr/sbin"].flatMap((folder) => names.map((name) => `${folder}/${name}`)),
]);

/** A test for processes below a package manager that root runs from where its own package installs it. */
export function belowPackageManager(): BelowProgram {
  return new BelowProgram(({ path }) => path !== undefined && paths.has(path), undefined);
}
