// Formats a stream of events as the tree lines of for-rest, which docs/for-rest.md describes.
//
//   line := root 1*( "/" node )
//   node := name ":" verb "," uid "," gid "," exit
//   verb := "Fork " [other] | "eXec " [other] | "end"
//
// Names are those of the exact tree with its escapes; `:`, `,` and space become \xNN too, so that a line can always be
// parsed again. An unknown user, group or status is `?`.
import {
  dispatch,
  type EventHandlers,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
} from "../sensor/event.ts";

export interface ForRestOptions {
  /** A program's name in the exact tree. */
  readonly name: (facts: ProcessFacts) => string;
  readonly limits?: ForRestLimits;
}

export interface ForRestLimits {
  /** Maximum number of lines. */
  readonly lines: number;
  /** Maximum number of characters in all lines together. */
  readonly characters: number;
  /** Maximum number of live processes. */
  readonly processes: number;
}

const LIMITS: ForRestLimits = { lines: 100_000, characters: 32 << 20, processes: 100_000 };
/** Maximum number of nodes in a line; the middle of a longer line becomes one node `...`. */
const NODES_LIMIT = 32;
const KEEP_ROOT = 16;
/** Name of a process whose parent is unknown, until its first exec. */
const UNKNOWN_NAME = "unknown";

/** One process. `above` has the nodes of its ancestors, each as it was when it forked the next one. */
interface Member {
  readonly above: readonly string[];
  name: string;
  uid: number | undefined;
  gid: number | undefined;
  /** The node of its latest event. */
  node: string;
  /** Its fork, until the name for the fork's line is known; then null. */
  fork: Identity | null;
}

interface Identity {
  readonly name: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Collects the distinct lines of a stream of events. */
export class ForRestLines {
  /** Number of lines and processes beyond the limits. */
  missed = 0;
  private readonly name: (facts: ProcessFacts) => string;
  private readonly limits: ForRestLimits;
  private readonly members = new Map<number, Member>();
  private readonly found = new Set<string>();
  private characters = 0;
  private readonly handlers: EventHandlers = {
    fork: ({ pid, parentPid }) => this.forked(pid, parentPid),
    exec: ({ pid, facts }) => this.execed(pid, facts),
    user: ({ pid, uid }) => {
      const member = this.members.get(pid);
      if (member !== undefined) member.uid = uid;
    },
    exit: ({ pid, status }) => this.ended(pid, status),
    // The grammar has no line for the network, nor for a loss.
    connect: () => undefined,
    send: () => undefined,
    listen: () => undefined,
    close: () => undefined,
    loss: () => undefined,
  };

  constructor(options: ForRestOptions) {
    this.name = (facts) => forRestName(options.name(facts));
    this.limits = options.limits ?? LIMITS;
  }

  /**
   * Adds the processes that existed before the first event, with their parents from /proc. Their history is unknown:
   * each has a node for the exec of its program with an unknown earlier name, and adds no line.
   */
  begin(scan: readonly ScannedProcess[]): void {
    const byPid = new Map(scan.map((scanned) => [scanned.pid, scanned]));
    for (const scanned of scan) this.adopt(scanned, byPid, NODES_LIMIT * 4);
  }

  event(event: ProcessEvent): void {
    dispatch(this.handlers, event);
  }

  /** The effective group of a process changed: no sensor reports it yet, see docs/for-rest.md. */
  groupChanged(pid: number, gid: number): void {
    const member = this.members.get(pid);
    if (member !== undefined) member.gid = gid;
  }

  /** The distinct lines so far, sorted. Forks of processes that may still exec have their present name. */
  lines(): string[] {
    const all = new Set(this.found);
    for (const member of this.members.values()) {
      if (member.fork !== null) all.add(lineOf(member.above, forkNode(member.fork, member.name)));
    }
    return [...all].sort();
  }

  private adopt(scanned: ScannedProcess, byPid: ReadonlyMap<number, ScannedProcess>, depth: number): Member {
    const existing = this.members.get(scanned.pid);
    if (existing !== undefined) return existing;
    const { facts } = scanned;
    const parent = facts.parentPid === undefined ? undefined : byPid.get(facts.parentPid);
    const isTop = parent === undefined || parent === scanned || depth === 0;
    const above = isTop ? [] : nodesAboveChild(this.adopt(parent, byPid, depth - 1));
    const { uid, gid } = facts;
    const name = this.name(facts);
    // Pid 1 is the root of the grammar: a name alone.
    const node = scanned.pid === 1 ? name : nodeText(name, "eXec ", uid, gid, 0);
    const member: Member = { above, name, uid, gid, node, fork: null };
    this.keep(scanned.pid, member);
    return member;
  }

  private forked(pid: number, parentPid: number): void {
    const parent = this.members.get(parentPid);
    const previous = this.members.get(pid);
    // The exit of the pid's earlier owner was missed.
    if (previous !== undefined) this.writeFork(previous);
    const { name, uid, gid } = parent ?? { name: UNKNOWN_NAME, uid: undefined, gid: undefined };
    const fork = { name, uid, gid };
    const above = parent === undefined ? [] : nodesAboveChild(parent);
    this.keep(pid, { above, name, uid, gid, node: forkNode(fork, name), fork });
  }

  private execed(pid: number, facts: ProcessFacts): void {
    let member = this.members.get(pid);
    if (member === undefined) {
      const parent = facts.parentPid === undefined ? undefined : this.members.get(facts.parentPid);
      const above = parent === undefined ? [] : nodesAboveChild(parent);
      member = { above, name: "", uid: undefined, gid: undefined, node: "", fork: null };
      this.keep(pid, member);
    }
    const previousName = member.name;
    member.name = this.name(facts);
    member.uid = facts.uid ?? member.uid;
    member.gid = facts.gid ?? member.gid;
    if (member.fork !== null) {
      this.add(member.above, forkNode(member.fork, member.name, member.fork.name));
      member.fork = null;
    }
    member.node = nodeText(member.name, `eXec ${previousName}`, member.uid, member.gid, 0);
    this.add(member.above, member.node);
  }

  private ended(pid: number, status: number | undefined): void {
    const member = this.members.get(pid);
    if (member === undefined) return;
    this.writeFork(member);
    this.add(member.above, nodeText(member.name, "end", member.uid, member.gid, status));
    this.members.delete(pid);
  }

  /** Adds the line of a fork under the present name, for a process that has never executed a program. */
  private writeFork(member: Member): void {
    if (member.fork !== null) this.add(member.above, forkNode(member.fork, member.name));
  }

  private keep(pid: number, member: Member): void {
    // Lost events may include exits, so the oldest process is dropped to make room.
    if (this.members.size >= this.limits.processes && !this.members.has(pid)) {
      const [oldest] = this.members.keys();
      if (oldest !== undefined) this.members.delete(oldest);
      this.missed += 1;
    }
    this.members.set(pid, member);
  }

  private add(above: readonly string[], node: string): void {
    const line = lineOf(above, node);
    if (this.found.has(line)) return;
    this.characters += line.length;
    if (this.found.size < this.limits.lines && this.characters <= this.limits.characters) {
      this.found.add(line);
    } else {
      this.characters -= line.length;
      this.missed += 1;
    }
  }
}

/** The nodes above a child of this process. */
function nodesAboveChild({ above, node }: Member): readonly string[] {
  const nodes = [...above, node];
  if (nodes.length < NODES_LIMIT) return nodes;
  return [...nodes.slice(0, KEEP_ROOT), "...", ...nodes.slice(KEEP_ROOT - NODES_LIMIT + 2)];
}

function lineOf(above: readonly string[], node: string): string {
  return above.length === 0 ? node : `${above.join("/")}/${node}`;
}

function forkNode({ uid, gid }: Identity, name: string, other = ""): string {
  return nodeText(name, `Fork ${other}`, uid, gid, 0);
}

/** `status` is that of wait(2); its core flag (0x80) is not part of a line. */
function nodeText(
  name: string,
  verb: string,
  uid: number | undefined,
  gid: number | undefined,
  status: number | undefined,
): string {
  const exit = status === undefined ? "?" : (status & 0xff7f).toString(16).padStart(4, "0");
  return `${name}:${verb},${uid ?? "?"},${gid ?? "?"},${exit}`;
}

const separators = /[:, ]/g;

/** A label of the exact tree as a name in a line: the separators of a line are escaped as well. */
export function forRestName(label: string): string {
  return label.replace(separators, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}
