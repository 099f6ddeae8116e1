// What package managers start is collected like a change, and only proposed: see docs/baseline.md.
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

/** Tests whether root's package manager started a process, where its package has installed it. */
export function belowPackageManager(): BelowProgram {
  return new BelowProgram(({ path }) => path !== undefined && paths.has(path), undefined);
}
