// Where the value of a condition on the network can change: at the edge of a network that `cidr` names, at a port or a user
// that a comparison names. Between these edges it is constant for one process.
import type { Dependency } from "../vocabulary/dependencies.ts";
import type { NetworkKind } from "../vocabulary/event-kinds.ts";
import { canonicalNetwork, type Network, parseNetwork } from "../vocabulary/ip-network.ts";
import { HIGHEST_PORT } from "../vocabulary/port-ranges.ts";
import { HIGHEST_USER } from "../vocabulary/user-ranges.ts";
import { isJudged, type JudgedVariable, judgedRow } from "../vocabulary/variables.ts";
import { type CallExpression, type Expression, partsOf } from "./expression.ts";

export interface Edges {
  readonly networks: readonly Network[];
  /** The first of each range in which no value changes, beginning with 0. */
  readonly ports: ReadonlySet<number>;
  readonly users: ReadonlySet<number>;
}

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
/** The ancestors' users and the process's own, which changes with setuid(2) unseen. */
const USERS = "tree.user_ids";
/** The kernel knows it at each call. */
const USER = "process.user.id";

const endpoints = {
  connect: { address: "network.peer.address", port: "network.peer.port" },
  send: { address: "network.peer.address", port: "network.peer.port" },
  listen: { address: "network.local.address", port: "network.local.port" },
} as const satisfies Readonly<Record<NetworkKind, { readonly address: string; readonly port: string }>>;
/** Known of every event, and enumerated. */
const enumerated: ReadonlySet<string> = new Set(["network.transport", "network.type"]);
const comparisons: ReadonlySet<string> = new Set(["==", "===", "!=", "!==", "<", "<=", ">", ">=", "in"]);

/** The edges of a condition on `kind`; a text that says why the kernel cannot decide it, if so. */
export function edgesOf(condition: Expression, kind: NetworkKind): Edges | string {
  const edges = { networks: [], ports: new Set([0]), users: new Set([0]) };
  return collect(condition, kind, edges) ?? edges;
}

export function joinedEdges(all: readonly Edges[]): Edges {
  return {
    networks: all.flatMap(({ networks }) => networks),
    ports: new Set([0, ...all.flatMap(({ ports }) => [...ports])]),
    users: new Set([0, ...all.flatMap(({ users }) => [...users])]),
  };
}

/** The edges around single users. */
export function edgesOfUsers(users: readonly number[]): Edges {
  const starts = users.flatMap((uid) => [uid, uid + 1]).filter((uid) => uid <= HIGHEST_USER);
  return { networks: [], ports: new Set([0]), users: new Set([0, ...starts]) };
}

/** Whether the variable is of the process, and holds for what it does until its next exec. */
export function isLastingVariable(name: string): name is JudgedVariable {
  return isJudged(name) && name !== USERS && judgedRow(name).dependsOn.every((one) => lasting.has(one));
}

/** Whether the expression has the same value for all processes: it depends on the socket and the user alone. */
export function asksNothingOfProcess(expression: Expression): boolean {
  switch (expression.is) {
    case "under":
    case "tree":
    case "missing":
    case "absent":
      return false;
    case "variable":
      return expression.name.startsWith("network.") || expression.name === USER;
    default:
      return partsOf(expression).every(asksNothingOfProcess);
  }
}

interface Collected {
  readonly networks: Network[];
  readonly ports: Set<number>;
  readonly users: Set<number>;
}

function collect(expression: Expression, kind: NetworkKind, edges: Collected): string | undefined {
  const { address, port } = endpoints[kind];
  switch (expression.is) {
    case "variable":
      return whyUndecidable([expression.name]);
    case "missing":
    case "absent":
      return whyUndecidable(expression.names);
    case "text": {
      const { left, operator, texts } = expression;
      if (left.is !== "variable" || left.name !== address || operator !== "cidr") break;
      edges.networks.push(...texts.flatMap((text) => parseNetwork(text) ?? []).map(canonicalNetwork));
      return undefined;
    }
    case "call":
      if (addCompared(expression, port, HIGHEST_PORT, edges.ports)) return undefined;
      if (addCompared(expression, USER, HIGHEST_USER, edges.users)) return undefined;
  }
  for (const part of partsOf(expression)) {
    const why = collect(part, kind, edges);
    if (why !== undefined) return why;
  }
  return undefined;
}

function whyUndecidable(names: readonly string[]): string | undefined {
  const name = names.find((each) => !enumerated.has(each) && !isLastingVariable(each));
  return name === undefined ? undefined : `the kernel does not know ${name}, or not as this rule asks for it`;
}

/** Adds the edges of a comparison of the variable with numbers; false if the expression is none. */
function addCompared({ operator, parts }: CallExpression, name: string, highest: number, edges: Set<number>) {
  if (!comparisons.has(operator)) return false;
  if (!parts.some((part) => part.is === "variable" && part.name === name)) return false;
  return parts.every((part) => {
    if (part.is === "variable") return part.name === name;
    return part.is === "literal" && addNumbers(part.value, highest, edges);
  });
}

/** Adds the edges of a number, or of each in a list. */
function addNumbers(value: unknown, highest: number, edges: Set<number>): boolean {
  if (Array.isArray(value)) return value.every((each) => addNumbers(each, highest, edges));
  if (typeof value !== "number") return false;
  for (const edge of [Math.floor(value), Math.ceil(value), Math.floor(value) + 1])
    if (edge >= 0 && edge <= highest) edges.add(edge);
  return true;
}
