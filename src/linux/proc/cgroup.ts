// /proc/PID/cgroup (cgroups(7)): one line `ID:CONTROLLERS:PATH` for each hierarchy.
import { decodeText } from "../text.ts";

/**
 * The path in the unified hierarchy (`0::/…`), or else in systemd's (`name=systemd`). If both are mounted and the
 * unified path is only the root, systemd's is returned. Undefined if neither exists.
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
