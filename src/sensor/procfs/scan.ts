// A look at every process there is. Costs tens of microseconds a process: for the start and after a loss, no more often.
import { readdirSync } from "node:fs";
import { PF_KTHREAD } from "../../linux/proc/stat.ts";
import type { ScannedGroup } from "../event.ts";
import type { FactsReader } from "./facts-reader.ts";

/**
 * Every thread group in /proc, zombies included (with what is still known of them), in no order that means anything:
 * a child may come before its parent. A process that ends meanwhile may be missing or half known.
 */
export function scanProcesses(reader: FactsReader, root = "/proc"): ScannedGroup[] {
  return listPids(root).flatMap((pid) => readGroup(reader, pid) ?? []);
}

/** The thread groups in /proc. */
export function listPids(root = "/proc"): number[] {
  const pids: number[] = [];
  for (const name of readdirSync(root)) {
    const first = name.charCodeAt(0);
    if (first >= 0x31 && first <= 0x39) pids.push(Number(name));
  }
  return pids;
}

/** The thread group `pid`; undefined if it has ended and is not listed any more. */
export function readGroup(reader: FactsReader, pid: number): ScannedGroup | undefined {
  const facts = reader.read(pid);
  const stat = reader.stat;
  if (stat === undefined) return undefined;
  return {
    pid,
    kernelThread: (stat.flags & PF_KTHREAD) !== 0,
    facts,
    threads: stat.threads,
    leaderEnded: stat.state === "Z" || stat.state === "X",
  };
}
