// Files of /proc/PID: the process chooses its name and its arguments.
import { containerOf, unitOf } from "../../../src/linux/cgroup-names.ts";
import { parseCgroup } from "../../../src/linux/proc/cgroup.ts";
import { parseArguments } from "../../../src/linux/proc/cmdline.ts";
import { parseStat } from "../../../src/linux/proc/stat.ts";
import { parseStatus } from "../../../src/linux/proc/status.ts";
import { parseTerminalDrivers } from "../../../src/linux/proc/terminal.ts";
import { printable, unambiguous, undoUnambiguous } from "../../../src/linux/text.ts";
import { type FuzzTarget, latin1, sizeOf } from "../target.ts";

export const proc: FuzzTarget = {
  name: "proc",
  parses: "stat, status, cmdline and cgroup of a process, which chooses its name and arguments",
  weight: 20,
  words: ["Uid:\t", "NStgid:\t", "0::/", ":name=systemd:/", ") S 1 ", ".scope", "docker-", "\\x2d"],
  parse(input) {
    const { length } = input;
    const args = parseArguments(input, length);
    const cgroup = parseCgroup(input, length);
    const names = cgroup === undefined ? [] : [containerOf(cgroup), unitOf(cgroup)];
    const drivers = parseTerminalDrivers(latin1(input));
    const shown = args.map(printable);
    // What is written for people and records can be undone, or two names could look alike.
    for (const arg of args)
      if (undoUnambiguous(unambiguous(arg)) !== arg) throw new Error(`not undone: ${JSON.stringify(arg)}`);
    const found = [parseStat(input, length), parseStatus(input, length), names, drivers];
    return sizeOf(found) + shown.join(" ").length;
  },
};
