// Names of terminals: device numbers of /proc/PID/stat through /proc/tty/drivers.

/** Device numbers that one terminal driver serves. */
export interface TerminalDriver {
  /** The part of the name below /dev before the index; ends with `/` if the terminals are in a folder. */
  readonly prefix: string;
  readonly major: number;
  readonly firstMinor: number;
  readonly lastMinor: number;
  /** True if the terminals have an index; `console`, for example, has none. */
  readonly indexed: boolean;
}

/** The drivers of every Linux system, used until /proc/tty/drivers was read. */
export const commonDrivers: readonly TerminalDriver[] = [
  { prefix: "pts/", major: 136, firstMinor: 0, lastMinor: 0xf_ffff, indexed: true },
  { prefix: "tty", major: 4, firstMinor: 1, lastMinor: 63, indexed: true },
  { prefix: "ttyS", major: 4, firstMinor: 64, lastMinor: 255, indexed: true },
  { prefix: "console", major: 5, firstMinor: 1, lastMinor: 1, indexed: false },
];

// `serial  /dev/ttyS  4 64-95  serial`: driver, name, major, minors, type (drivers/tty/tty_io.c through
// fs/proc/proc_tty.c).
const line = /^\S+\s+\/dev\/(\S+)\s+(\d+)\s+(\d+)(?:-(\d+))?\s+(\S+)$/;

/** Parses /proc/tty/drivers; lines of another format are ignored. */
export function parseTerminalDrivers(text: string): TerminalDriver[] {
  const drivers: TerminalDriver[] = [];
  for (const row of text.split("\n")) {
    const match = line.exec(row.trimEnd());
    if (match === null) continue;
    const [, name = "", major, first, last, type = ""] = match;
    drivers.push({
      prefix: type.startsWith("pty:slave") && name === "pts" ? "pts/" : name,
      major: Number(major),
      firstMinor: Number(first),
      lastMinor: Number(last ?? first),
      indexed: !type.startsWith("system"),
    });
  }
  return drivers;
}

/**
 * The terminal's name below /dev, such as `pts/0`; null for device 0 (no terminal), undefined for an unknown driver.
 */
export function terminalName(
  number: number,
  drivers: readonly TerminalDriver[] = commonDrivers,
): string | null | undefined {
  if (number === 0) return null;
  // new_encode_dev of include/linux/kdev_t.h.
  const major = (number >>> 8) & 0xfff;
  const minor = (number & 0xff) | ((number >>> 12) & 0xf_ff00);
  for (const driver of drivers) {
    if (driver.major !== major || minor < driver.firstMinor || minor > driver.lastMinor) continue;
    if (!driver.indexed) return driver.prefix;
    // Consoles count by their minor (tty1 is 4:1), all others from the driver's first.
    const base = driver.prefix === "tty" ? 0 : driver.firstMinor;
    return `${driver.prefix}${minor - base}`;
  }
  return undefined;
}
