// An event of the network that is given in the words of the vocabulary: by a policy test, by a record, or on a command line.
import type { Node } from "jsonc-parser";
import { factsAfterExec } from "../forest/lasting-facts.ts";
import { type NetworkEvent, transports } from "../sensor/event.ts";
import { eventKinds, type NetworkKind, networkKinds } from "../vocabulary/event-kinds.ts";
import { type IpAddress, parseIpv4, parseIpv6 } from "../vocabulary/ip-address.ts";
import { mappedIpv4 } from "../vocabulary/ip-network.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { isJudged, judgedRow, kindsWithout, variableNames } from "../vocabulary/variables.ts";
import { type Document, property } from "./document.ts";
import { type ExecSubject, type NetworkSubject, subjectOfNetwork } from "./subject.ts";

export type GivenEvent = Readonly<Record<string, unknown>>;

const EVENT_NAME = "event.name";
const eventNames: readonly string[] = networkKinds.map((kind) => eventKinds[kind].eventName);
/** The variables that an event may give. */
const given = variableNames.filter((name) => isJudged(name) && judgedRow(name).inTests === "event");

/** What each kind of event cannot be without. */
const needed: Readonly<Record<NetworkKind, readonly string[]>> = {
  connect: ["network.peer.address", "network.peer.port"],
  send: ["network.peer.address", "network.peer.port"],
  listen: ["network.local.port"],
};

/** What a value of a variable must be. */
const values: Readonly<
  Record<string, { readonly test: (value: unknown) => boolean; readonly text: string }>
> = {
  "network.transport": { test: (value) => transports.some((each) => each === value), text: "tcp or udp" },
  "network.peer.address": { test: isAddress, text: "an IP address" },
  "network.peer.port": { test: isPort, text: "a port" },
  "destination.known": {
    test: (value) => value === null || typeof value === "boolean",
    text: "true, false or null",
  },
  "destination.name": { test: isName, text: "a name or null" },
  "network.local.address": { test: isAddress, text: "an IP address" },
  "network.local.port": { test: isPort, text: "a port" },
};

/** Reports names that the event cannot have or must have, and wrong values. `node`: the event. */
export function checkTestEvent(document: Document, node: Node, event: GivenEvent): void {
  const kind = kindOf(event);
  const at = (name: string): Node => property(node, name)?.value ?? node;
  if (kind === undefined) {
    const name = event[EVENT_NAME];
    const meant = nearest(String(name), eventNames);
    document.report(
      at(EVENT_NAME),
      `"${EVENT_NAME}" must be one of ${eventNames.join(", ")}`,
      meant === undefined ? `"${EVENT_NAME}": "${eventNames[0]}"` : `did you mean "${meant}"?`,
    );
    return;
  }
  const usable = given.filter((name) => isJudged(name) && kindsWithout(name, [kind]).length === 0);
  for (const [name, value] of Object.entries(event)) {
    if (name === EVENT_NAME) continue;
    const rule = values[name];
    if (rule === undefined || !usable.some((each) => each === name))
      document.report(
        property(node, name)?.key ?? node,
        `"${name}" is nothing that ${eventKinds[kind].eventName} can be given`,
        `can be given: ${usable.join(", ")}`,
      );
    else if (!rule.test(value))
      document.report(at(name), `"${name}" must be ${rule.text}, not ${JSON.stringify(value)}`);
  }
  for (const name of needed[kind])
    if (event[name] === undefined)
      document.report(node, `${eventKinds[kind].eventName} needs "${name}"`, exampleFor(name));
}

/** The event's name for a record or test; undefined if it is of no such kind. */
export function networkEventName(kind: unknown): string | undefined {
  const known = networkKinds.find((each) => each === kind);
  return known === undefined ? undefined : eventKinds[known].eventName;
}

/** The subject of such an event: the process that `exec` describes uses the network later. */
export function givenNetworkSubject(exec: ExecSubject, event: GivenEvent): NetworkSubject {
  const kind = kindOf(event) ?? "connect";
  const facts = factsAfterExec(exec.facts, exec.facts);
  const process = { ...exec, facts, examined: undefined, changed: undefined };
  const { source, time } = exec;
  const { pid, startTicks } = exec.process;
  const peer = addressOf(event["network.peer.address"]);
  const local = addressOf(event["network.local.address"]);
  const common = {
    source,
    time,
    pid,
    startTicks,
    uid: facts.uid,
    transport: event["network.transport"] === "udp" || kind === "send" ? "udp" : "tcp",
    family: (peer ?? local)?.family ?? "ipv4",
    socket: undefined,
    denied: false,
  } as const;
  if (kind === "listen") {
    const localAddress = local?.text ?? "0.0.0.0";
    const localPort = portOf(event["network.local.port"]) ?? 0;
    return subjectOfNetwork(process, { kind, ...common, localAddress, localPort, found: false });
  }
  const name = event["destination.name"];
  const known = event["destination.known"];
  const whose = {
    peerName: typeof name === "string" ? name : null,
    peerKnown: typeof known === "boolean" || known === null ? known : undefined,
  };
  const network = {
    kind,
    ...common,
    peerAddress: peer?.text ?? "",
    peerPort: portOf(event["network.peer.port"]) ?? 0,
    localAddress: local?.text,
    localPort: portOf(event["network.local.port"]),
  };
  return subjectOfNetwork(process, network, whose);
}

function kindOf(event: GivenEvent): NetworkKind | undefined {
  return networkKinds.find((kind) => eventKinds[kind].eventName === event[EVENT_NAME]);
}

function parsed(value: unknown): IpAddress | undefined {
  return typeof value === "string" ? (parseIpv4(value) ?? parseIpv6(value)) : undefined;
}

/** An address as sensors report it: one that is mapped into IPv6 is of IPv4. */
function addressOf(
  value: unknown,
): { readonly text: string; readonly family: NetworkEvent["family"] } | undefined {
  const bytes = parsed(value);
  if (bytes === undefined) return undefined;
  const mapped = mappedIpv4(bytes);
  if (mapped !== undefined) return { text: mapped.join("."), family: "ipv4" };
  return { text: String(value), family: bytes.length === 4 ? "ipv4" : "ipv6" };
}

function portOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function isAddress(value: unknown): boolean {
  return parsed(value) !== undefined;
}

function isPort(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

function isName(value: unknown): boolean {
  return value === null || typeof value === "string";
}

function exampleFor(name: string): string {
  return name.endsWith("port") ? `"${name}": 443` : `"${name}": "203.0.113.7"`;
}
