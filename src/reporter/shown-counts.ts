// What a live view has shown, counted for its last line: alerts scroll past, and a person wants to know how many there were.
import type { EventRecord } from "../report/event-record.ts";
import { localTimeOf } from "../report/local-time.ts";
import { counted } from "../vocabulary/counted.ts";

export class ShownCounts {
  private readonly since = Date.now();
  private readonly outcomes = new Map<string, number>();
  private newTrees = 0;

  add(record: EventRecord): void {
    if (record["event.name"] === "tree.new") this.newTrees += 1;
    const outcome = record["policy.outcome"];
    if (typeof outcome !== "string") return;
    const count = record["policy.count"];
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + (typeof count === "number" ? count : 1));
  }

  /** The last line, its newline included. */
  line(): string {
    const verdicts = [...this.outcomes].map(([outcome, count]) => `${count} ${outcome}`);
    return `since ${localTimeOf(this.since)}: ${[...verdicts, counted(this.newTrees, "new tree")].join(", ")}\n`;
  }
}
