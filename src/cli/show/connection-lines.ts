// What a process and its descendants did on the network: a line for each endpoint, with how often and what was refused.
import { unambiguous } from "../../linux/text.ts";
import type { EventRecord } from "../../report/event-record.ts";
import { hostAndPort } from "../../report/network-fields.ts";
import { eventKinds, type NetworkKind, networkKinds } from "../../vocabulary/event-kinds.ts";

/** Endpoints that are shown, those first that were used first. */
const SHOWN = 20;
/** Records that are looked at: a port scan has a few for each port. */
const LOOKED_AT = 5_000;

interface Endpoint {
  count: number;
  denied: number;
}

/** `records`: those of a process and its descendants, in the order of time. */
export function connectionLines(records: Iterable<EventRecord>): string[] {
  const endpoints = new Map<string, Endpoint>();
  let looked = 0;
  for (const record of records) {
    if (looked >= LOOKED_AT) break;
    looked += 1;
    const kind = kindOf(record);
    if (kind === undefined) continue;
    const text = `${kind} ${endpointOf(record, kind)}`;
    const endpoint = endpoints.get(text) ?? { count: 0, denied: 0 };
    endpoints.set(text, endpoint);
    const count = Number(record["policy.count"] ?? 1);
    endpoint.count += count;
    if (record["network.denied"] === true || record["policy.outcome"] === "denied") endpoint.denied += count;
  }
  const lines = [...endpoints].map(([text, { count, denied }]) =>
    [
      unambiguous(text),
      ...(count > 1 ? [`${count} times`] : []),
      ...(denied > 0 ? [`${denied} refused`] : []),
    ].join(", "),
  );
  const more = lines.length - SHOWN;
  return more > 0 ? [...lines.slice(0, SHOWN), `... and ${more} more`] : lines;
}

/** A verdict on the network has its kind in a field of its own. */
function kindOf(record: EventRecord): NetworkKind | undefined {
  const judged = record["event.kind"];
  return networkKinds.find((kind) =>
    judged === undefined ? record["event.name"] === eventKinds[kind].eventName : judged === kind,
  );
}

function endpointOf(record: EventRecord, kind: NetworkKind): string {
  const side = kind === "listen" ? "local" : "peer";
  const address = String(record[`network.${side}.address`] ?? "?");
  const port = String(record[`network.${side}.port`] ?? "?");
  const name = record["destination.name"];
  const known = typeof name === "string" ? ` (${name})` : "";
  return `${String(record["network.transport"] ?? "?")} ${hostAndPort(address, port)}${known}`;
}
