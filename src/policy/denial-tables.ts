// The tables of one kind of event for one process: which ports of which networks it is denied, as which users.
import type { AddressFamily, NetworkEvent, Transport } from "../sensor/event.ts";
import type { DeniedNetwork } from "../sensor/network/denial.ts";
import type { NetworkKind } from "../vocabulary/event-kinds.ts";
import { formatAddress, type IpAddress } from "../vocabulary/ip-address.ts";
import { HIGHEST_PORT, type PortRange } from "../vocabulary/port-ranges.ts";
import { HIGHEST_USER, type UserRange } from "../vocabulary/user-ranges.ts";
import type { Edges } from "./denial-edges.ts";
import type { DeniableProcess } from "./denials.ts";
import { areasOf, type NetworkArea } from "./network-areas.ts";
import type { RuleCondition } from "./policy.ts";
import type { RuleEvaluator } from "./rule-evaluator.ts";
import type { RuleStates } from "./rule-state.ts";
import { subjectOfNetwork } from "./subject.ts";

/** The most areas of one table: each costs a decision of some 2 us when a new kind of process appears. */
export const AREAS = 1_024;
/** The most ranges of ports of one network that the kernel compares. */
const RANGES = 8;

const transportsOf: Readonly<Record<NetworkKind, readonly Transport[]>> = {
  connect: ["tcp", "udp"],
  send: ["udp"],
  listen: ["tcp", "udp"],
};

/** Where a table begins anew. */
interface Starts {
  readonly areas: Readonly<Record<AddressFamily, readonly NetworkArea[]>>;
  /** The first port and user of each range in which no rule's value changes, in ascending order, beginning with 0. */
  readonly ports: readonly number[];
  readonly users: readonly number[];
}

/** The rules of one kind that the kernel can decide. */
export interface KindTables extends Starts {
  readonly kind: NetworkKind;
  readonly rules: readonly RuleCondition[];
  readonly evaluator: RuleEvaluator;
  /** Undefined: all rules are armed. */
  readonly states: RuleStates | undefined;
}

/** Without those of addresses that lie in several networks. */
export function areaCount({ networks, ports, users }: Edges): number {
  return (networks.length + 1) * ports.size * users.size;
}

export function startsOf({ networks, ports, users }: Edges): Starts {
  const ascending = (edges: ReadonlySet<number>) => [...edges].sort((a, b) => a - b);
  const areas = { ipv4: areasOf(networks, "ipv4"), ipv6: areasOf(networks, "ipv6") };
  return { areas, ports: ascending(ports), users: ascending(users) };
}

/** What the process is denied. */
export function deniedNetworks(tables: KindTables, process: DeniableProcess): readonly DeniedNetwork[] {
  const { users } = tables;
  const ofUsers: { first: number; last: number; readonly text: string; readonly denied: DeniedNetwork[] }[] =
    [];
  users.forEach((first, i) => {
    const last = (users[i + 1] ?? HIGHEST_USER + 1) - 1;
    const denied = deniedAs(tables, { ...process, facts: { ...process.facts, uid: first } });
    const text = JSON.stringify(denied);
    const before = ofUsers.at(-1);
    if (before?.text === text) before.last = last;
    else ofUsers.push({ first, last, text, denied });
  });
  const [everybody] = ofUsers;
  if (everybody !== undefined && ofUsers.length === 1) return everybody.denied;
  return ofUsers.flatMap(({ first, last, denied }) => {
    const range: UserRange = { first, last };
    return denied.map((each) => ({ ...each, users: range }));
  });
}

function deniedAs(tables: KindTables, process: DeniableProcess): DeniedNetwork[] {
  return transportsOf[tables.kind].flatMap((transport) =>
    (["ipv4", "ipv6"] as const).flatMap((family) => deniedOf(tables, process, transport, family)),
  );
}

function deniedOf(
  { kind, evaluator, states, areas, ports }: KindTables,
  process: DeniableProcess,
  transport: Transport,
  family: NetworkEvent["family"],
): readonly DeniedNetwork[] {
  const denied = areas[family].map(({ network, address }): DeniedNetwork | "too many" => {
    const isDenied = (port: number): boolean => {
      const event = eventAt(kind, { transport, family, address, port }, process);
      const { action, armed } = evaluator.decide(subjectOfNetwork(process, event), states);
      return action === "deny" && armed;
    };
    const ranges = rangesWhere(ports, isDenied);
    if (ranges.length <= RANGES) return { kind, transport, network, ports: { mode: "only", ranges } };
    const others = rangesWhere(ports, (port) => !isDenied(port));
    if (others.length > RANGES) return "too many";
    return { kind, transport, network, ports: { mode: "except", ranges: others } };
  });
  const tables = denied.filter((each) => each !== "too many");
  const deniesAny = tables.some(({ ports: { mode, ranges } }) => mode === "except" || ranges.length > 0);
  return deniesAny && tables.length === denied.length ? tables : [];
}

/** The ranges of ports in which `test` holds. `starts`: the first port of each range in which it does not change. */
function rangesWhere(starts: readonly number[], test: (port: number) => boolean): readonly PortRange[] {
  const ranges: { first: number; last: number }[] = [];
  starts.forEach((first, i) => {
    if (!test(first)) return;
    const last = (starts[i + 1] ?? HIGHEST_PORT + 1) - 1;
    const previous = ranges.at(-1);
    if (previous?.last === first - 1) previous.last = last;
    else ranges.push({ first, last });
  });
  return ranges;
}

function eventAt(
  kind: NetworkKind,
  at: Pick<NetworkEvent, "transport" | "family"> & { readonly address: IpAddress; readonly port: number },
  { source, time, process, facts }: DeniableProcess,
): NetworkEvent {
  const { transport, family, port } = at;
  const address = formatAddress(at.address);
  const { pid, startTicks } = process;
  const common = { source, time, pid, startTicks, uid: facts.uid, transport, family } as const;
  const socket = { ...common, socket: undefined, denied: false };
  if (kind === "listen") return { kind, ...socket, localAddress: address, localPort: port, found: false };
  const unbound = { localAddress: undefined, localPort: undefined };
  return { kind, ...socket, peerAddress: address, peerPort: port, ...unbound };
}
