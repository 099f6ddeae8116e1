// What armed rules deny a process on the network, as tables that the kernel can decide by: which ports of which networks.
//
// Nothing is derived from the conditions but where their value can change: at the edge of a network that `cidr` names, or
// at a port that a comparison names. Between these edges a condition is constant, so the policy itself is asked once for
// each such area, with an address and a port that lie in it. A table therefore cannot decide otherwise than the policy.
//
// A rule that depends on more than the process, its ancestors, and address, port and transport is not compiled. Neither is
// a rule behind an `allow` that does: the kernel could not know that it is allowed.

import type { NetworkEvent, NetworkKind, Transport } from "../sensor/event.ts";
import { networkKinds } from "../sensor/event.ts";
import type { DeniedNetwork } from "../sensor/network/denial.ts";
import type { Dependency } from "../vocabulary/dependencies.ts";
import { formatAddress, type IpAddress } from "../vocabulary/ip-address.ts";
import { canonicalNetwork, type Network, parseNetwork } from "../vocabulary/ip-network.ts";
import { HIGHEST_PORT, type PortRange } from "../vocabulary/port-ranges.ts";
import { allSteps } from "../vocabulary/steps.ts";
import { isJudged, isSharedByLineage, type JudgedVariable, judgedRow } from "../vocabulary/variables.ts";
import { type Expression, partsOf } from "./expression.ts";
import { areasOf } from "./network-areas.ts";
import { compilingEvaluator, type Policy, type RuleCondition, type RuleEvaluator } from "./policy.ts";
import { type RuleStates, ruleKey } from "./rule-state.ts";
import { type ExecSubject, type Reader, readerOf, subjectOfNetwork } from "./subject.ts";

/** What the kernel is to deny a process. */
export interface Denials {
  /** While it runs what it runs now. */
  readonly program: readonly DeniedNetwork[];
  /** Whatever it, or a process below it, executes later. */
  readonly afterExec: readonly DeniedNetwork[];
}

/** What is known of a process at its exec, and holds for what it does afterwards. */
export type DeniableProcess = Omit<ExecSubject, "kind">;

/** The most areas of one table: each costs a decision of some 2 us when a new kind of process appears. */
const AREAS = 1_024;
/** The most ranges of ports of one network that the kernel compares. */
const RANGES = 8;

/** What of a process does not change between two execs, or raises the epoch when it does. */
const lasting: ReadonlySet<Dependency> = new Set<Dependency>([
  "lineage",
  "links",
  "parent",
  "cgroup",
  "scope",
  "baseline",
  "examiner",
  "program",
  "file",
  "session",
]);
/** Changes with setuid(2), which no event reports at once. */
const CHANGING = "tree.user_ids";

const transportsOf: Readonly<Record<NetworkKind, readonly Transport[]>> = {
  connect: ["tcp", "udp"],
  send: ["udp"],
  listen: ["tcp", "udp"],
};
const endpoints = {
  connect: { address: "network.peer.address", port: "network.peer.port" },
  send: { address: "network.peer.address", port: "network.peer.port" },
  listen: { address: "network.local.address", port: "network.local.port" },
} as const satisfies Readonly<Record<NetworkKind, { readonly address: string; readonly port: string }>>;
/** Known of every event, and enumerated. */
const enumerated: ReadonlySet<string> = new Set(["network.transport", "network.type"]);
const comparisons: ReadonlySet<string> = new Set(["==", "===", "!=", "!==", "<", "<=", ">", ">=", "in"]);

/** Where the value of a condition can change. */
interface Edges {
  readonly networks: Network[];
  readonly ports: Set<number>;
}

/** The rules of one kind that the kernel can decide. */
interface KindTables {
  readonly kind: NetworkKind;
  readonly evaluator: RuleEvaluator;
  readonly networks: readonly Network[];
  /** The first port of each range in which no rule's value changes, in ascending order, beginning with 0. */
  readonly ports: readonly number[];
}

export class DenialCompiler {
  private readonly ofProgram: readonly KindTables[];
  private readonly ofDescendants: readonly KindTables[];
  /** What of a process decides which networks it is denied. */
  readonly asked: ReadonlySet<JudgedVariable>;
  /** Variables of the process that the rules name and that its lineage does not decide. */
  private readonly readers: readonly Reader[];

  /** `states`: which rules may act. Only a rule that may act everywhere is compiled. */
  constructor(policy: Policy, states: RuleStates) {
    const rules = policy.networkRules.filter(
      ({ rule }) => rule.action === "allow" || states.get(ruleKey(rule))?.armed === true,
    );
    this.ofProgram = networkKinds.flatMap((kind) => tablesOf(kind, rules, isLasting));
    this.ofDescendants = networkKinds.flatMap((kind) => tablesOf(kind, rules, isInherited));
    this.asked = new Set(rules.flatMap(({ rule }) => [...rule.read].filter(isLastingName)));
    this.readers = [...this.asked].filter((name) => !isSharedByLineage(name)).map(readerOf);
  }

  /** No rule denies anything. */
  get isEmpty(): boolean {
    return this.ofProgram.length === 0;
  }

  /** Equal for processes of one lineage that are denied the same. */
  keyOf(process: DeniableProcess): string {
    const subject = { ...process, kind: "exec" as const };
    return this.readers.length === 0 ? "" : JSON.stringify(this.readers.map((read) => read(subject) ?? "?"));
  }

  denialsOf(process: DeniableProcess): Denials {
    return {
      program: this.ofProgram.flatMap((tables) => deniedBy(tables, process)),
      afterExec: this.ofDescendants.flatMap((tables) => deniedBy(tables, process)),
    };
  }
}

type Usable = (condition: Expression, action: string) => boolean;

function tablesOf(
  kind: NetworkKind,
  rules: readonly RuleCondition[],
  isUsable: Usable,
): readonly KindTables[] {
  const kept: RuleCondition[] = [];
  const edges: Edges = { networks: [], ports: new Set([0]) };
  for (const each of rules) {
    if (!each.rule.on.includes(kind)) continue;
    const own: Edges = { networks: [], ports: new Set() };
    const isDecidable =
      !each.rule.unknownMatches &&
      hasEdges(each.condition, kind, own) &&
      isUsable(each.condition, each.rule.action);
    if (!isDecidable && each.rule.action === "allow") break;
    if (!isDecidable) continue;
    kept.push(each);
    edges.networks.push(...own.networks);
    for (const port of own.ports) edges.ports.add(port);
  }
  if (!kept.some(({ rule }) => rule.action === "deny")) return [];
  const ports = [...edges.ports].filter((port) => port <= HIGHEST_PORT).sort((a, b) => a - b);
  if (ports.length * (edges.networks.length + 1) > AREAS) return [];
  const evaluator = allSteps(compilingEvaluator(kept, "allow", ""));
  return [{ kind, evaluator, networks: edges.networks, ports }];
}

/** Collects where the expression can change; false if it depends on something else than the kernel knows. */
function hasEdges(expression: Expression, kind: NetworkKind, edges: Edges): boolean {
  const { address, port } = endpoints[kind];
  switch (expression.is) {
    case "variable":
      return enumerated.has(expression.name) || isLastingName(expression.name);
    case "missing":
    case "absent":
      return expression.names.every((name) => enumerated.has(name) || isLastingName(name));
    case "text": {
      const { left, operator, texts } = expression;
      if (left.is !== "variable" || left.name !== address || operator !== "cidr") break;
      edges.networks.push(...texts.flatMap((text) => parseNetwork(text) ?? []).map(canonicalNetwork));
      return true;
    }
    case "call":
      if (!comparisons.has(expression.operator)) break;
      if (!expression.parts.some((part) => part.is === "variable" && part.name === port)) break;
      return expression.parts.every((part) => {
        if (part.is === "variable") return part.name === port;
        return part.is === "literal" && addPorts(part.value, edges.ports);
      });
  }
  return partsOf(expression).every((part) => hasEdges(part, kind, edges));
}

/** Adds the edges of a number, or of each in a list. */
function addPorts(value: unknown, ports: Set<number>): boolean {
  if (Array.isArray(value)) return value.every((each) => addPorts(each, ports));
  if (typeof value !== "number") return false;
  for (const edge of [Math.floor(value), Math.ceil(value), Math.floor(value) + 1])
    if (edge >= 0) ports.add(edge);
  return true;
}

function isLastingName(name: string): boolean {
  return isJudged(name) && name !== CHANGING && judgedRow(name).dependsOn.every((one) => lasting.has(one));
}

function isLasting(): boolean {
  return true;
}

/**
 * Whether what holds for a process holds for all that it executes later. What a process is under it stays under, so that a
 * rule that denies below something goes on doing so. An allow may come to hold only later, unless it asks nothing of it.
 */
function isInherited(condition: Expression, action: string): boolean {
  return action === "allow" ? asksNothingOfProcess(condition) : onlyUnder(condition, true);
}

function asksNothingOfProcess(expression: Expression): boolean {
  if (expression.is === "under" || expression.is === "tree") return false;
  if (expression.is === "variable") return expression.name.startsWith("network.");
  if (expression.is === "missing" || expression.is === "absent") return false;
  return partsOf(expression).every(asksNothingOfProcess);
}

/** Whether all that the expression asks of the process is `under`, and being under something cannot make it false. */
function onlyUnder(expression: Expression, positive: boolean): boolean {
  if (expression.is === "under") return positive;
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "and" || operator === "or") return parts.every((part) => onlyUnder(part, positive));
    if (operator === "!") return parts.every((part) => onlyUnder(part, !positive));
  }
  return asksNothingOfProcess(expression);
}

function deniedBy(tables: KindTables, process: DeniableProcess): readonly DeniedNetwork[] {
  return transportsOf[tables.kind].flatMap((transport) =>
    (["ipv4", "ipv6"] as const).flatMap((family) => deniedOf(tables, process, transport, family)),
  );
}

function deniedOf(
  { kind, evaluator, networks, ports }: KindTables,
  process: DeniableProcess,
  transport: Transport,
  family: NetworkEvent["family"],
): readonly DeniedNetwork[] {
  const denied = areasOf(networks, family).map(({ network, address }): DeniedNetwork | "too many" => {
    const isDenied = (port: number): boolean => {
      const event = eventAt(kind, { transport, family, address, port }, process);
      return evaluator.decide(subjectOfNetwork(process, event)).action === "deny";
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
