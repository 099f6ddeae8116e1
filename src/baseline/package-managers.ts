// What package managers start is collected like a change, and put into force only if a person accepts it (docs/baseline.md).
import type { Lineage } from "../forest/lineage.ts";
import type { Runnable } from "../forest/runnable.ts";
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

const ROOT = 0;

const isManager = ({ path }: Runnable): boolean => path !== undefined && paths.has(path);

/** A test for processes below a package manager that root runs from where its own package installs it. */
export function belowPackageManager(): BelowProgram {
  return new BelowProgram(isManager, undefined);
}

/**
 * Tests for package managers that root runs on the host, and what they start of packages: their helpers and maintainer
 * scripts. Hooks are not among it: they are text that a manager gives to a shell, from its configuration or from its command
 * line, where `apt -o` makes it whatever the caller likes.
 */
export class PackagingTrees {
  /** Invalidated by: nothing, nodes never change. */
  private readonly nodes = new WeakMap<Lineage, boolean>();

  includes(node: Lineage): boolean {
    const known = this.nodes.get(node);
    if (known !== undefined) return known;
    // The forest's limit on a lineage's depth bounds the recursion.
    const isPackaging =
      isRootsManager(node) || (node.parent !== null && this.includes(node.parent) && !isHook(node));
    this.nodes.set(node, isPackaging);
    return isPackaging;
  }
}

function isRootsManager({ init, container, uid, program }: Lineage): boolean {
  return !init && container === null && uid === ROOT && isManager(program);
}

/** Whether the process is, or was, the shell of a hook: one that a package manager itself has started with a command. */
function isHook({ parent, program, earlier }: Lineage): boolean {
  if (parent === null || !isRootsManager(parent)) return false;
  return program.shellCommand || earlier.some(({ shellCommand }) => shellCommand);
}
