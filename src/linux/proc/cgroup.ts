// /proc/PID/cgroup (cgroups(7)): one line `ID:CONTROLLERS:PATH` for each hierarchy.
import { decodeText } from "../text.ts";

/**
 * The path in the unified hierarchy (`0::/…`), else in systemd's own (`name=systemd`). Where both are mounted and the
 * unified one only has its root, systemd's is the one that says something. undefined if neither is there.
 */
export function parseCgroup(bytes: Uint8Array, length: number): string | undefined {
  let unified: string | undefined;
  let systemd: string | undefined;
  for (const line of decodeText(bytes, 0, length).split("\n")) {
    if (line.startsWith("0::/")) unified = line.slice(3);
    else {
      const path = line.indexOf(":name=systemd:/");
      if (path > 0 && line.indexOf(":") === path) systemd = line.slice(path + 14);
    }
  }
  if (unified !== undefined && (unified !== "/" || systemd === undefined)) return unified;
  return systemd;
}
