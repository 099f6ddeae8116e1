// The host's identity, machine-id(5): OpenTelemetry allows no other source of host.id without asking.
import { readFileSync } from "node:fs";

/** 32 hexadecimal digits; undefined if the host has none. */
export function machineId(): string | undefined {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "latin1").trim();
      if (/^[0-9a-f]{32}$/.test(id)) return id;
    } catch {
      // Absent or unreadable: the other place may have it.
    }
  }
  return undefined;
}
