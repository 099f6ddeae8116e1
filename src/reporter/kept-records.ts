// Which records a flood cannot push out of the journal.
import type { EventRecord } from "../report/event-record.ts";

/** Outcomes of verdicts that were carried out. Not `denied`: no budget bounds what one user is denied. */
const carriedOut: ReadonlySet<unknown> = new Set(["stopped", "killed", "prevented"]);

/**
 * Whether a record belongs to the share of the journal that others cannot displace: what treewarden has done, lost
 * events and its own changes. Any user can make masses of the others: alerts, denials, kills that came too late or were
 * withheld, new trees, and the gaps that these leave. Heartbeats are replaced by the next ones.
 */
export function isKeptRecord(record: EventRecord): boolean {
  switch (record["event.name"]) {
    case "policy.verdict":
    case "policy.verdict.repeated":
    case "policy.verdict.unrecorded":
      return carriedOut.has(record["policy.outcome"]);
    case "tree.new":
    case "process.exec":
    case "process.exit":
    case "network.connect":
    case "network.send":
    case "network.listen":
    case "network.close":
    case "report.gap":
    case "warden.heartbeat":
      return false;
    default:
      return true;
  }
}
