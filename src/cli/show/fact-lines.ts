// The facts of a record, each in a line with its title.
import type { EventRecord } from "../../report/event-record.ts";

/** Title and name of each fact that is shown. A fact that the record lacks is not known, and is left out. */
const factNames = [
  ["uid", "log.record.uid"],
  ["tree", "tree.path"],
  ["exact tree", "tree.exact"],
  ["in the baseline", "tree.known"],
  ["unit", "process.unit"],
  ["container", "container.image.name"],
  ["executable", "process.executable.path"],
  ["package", "process.executable.package"],
  ["modified", "process.executable.modified"],
  ["directory", "process.working_directory"],
  ["transport", "network.transport"],
  ["peer", "network.peer.address"],
  ["port of the peer", "network.peer.port"],
  ["listens on", "network.local.address"],
  ["port", "network.local.port"],
  ["name of the peer", "destination.name"],
  ["ended", "network.result"],
  ["matched rules", "policy.matched_rules"],
  ["different arguments", "policy.distinct_arguments"],
  ["among them", "policy.arguments"],
] as const;

/** The width of the column of titles. */
const TITLE_WIDTH = 20;

const yesOrNo: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [true, "yes"],
  [false, "no"],
  [null, "none"],
]);

/** A line for each known fact of a process or verdict; for any other record, all its fields as `name=value`. */
export function factLines(record: EventRecord): string[] {
  const lines = factNames.flatMap(([title, name]) => {
    const value = record[name];
    if (value === undefined) return [];
    const text = yesOrNo.get(value) ?? (Array.isArray(value) ? value.join(", ") : String(value));
    const shown = name === "tree.known" && value === null ? "no baseline was accepted" : text;
    return [`${title.padEnd(TITLE_WIDTH)}${shown}`];
  });
  const environment = Object.entries(record)
    .filter(([name]) => name.startsWith("process.environment_variable."))
    .map(
      ([name, value]) =>
        `${name.slice("process.environment_variable.".length).padEnd(TITLE_WIDTH)}${String(value)}`,
    );
  if (record["process.pid"] !== undefined || record["policy.outcome"] !== undefined)
    return [...lines, ...environment];
  return Object.entries(record).map(([name, value]) => `${name}=${String(value)}`);
}
