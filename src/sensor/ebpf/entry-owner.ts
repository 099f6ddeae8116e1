// Whose an entry in a map of processes is. The events of a process may be read when it has ended and its pid is another's.
export type EntryOwner = "none" | "its own" | "of an earlier process" | "of a later process";

/** How often an entry is compared anew because it changed meanwhile: a fork and an exit come between at most. */
export const ENTRY_ATTEMPTS = 4;

/** `start` is that of the entry, and `startTicks` that of the process, in clock ticks since boot. */
export function entryOwner(start: number, startTicks: number): EntryOwner {
  if (start === startTicks) return "its own";
  return start > startTicks ? "of a later process" : "of an earlier process";
}
