// for-rest's tree lines: what a stream of events looks like in its grammar. docs/for-rest.md describes it.
//
//   line := root 1*( "/" node )
//   node := name ":" verb "," uid "," gid "," exit
//   verb := "Fork " [other] | "eXec " [other] | "end"
//
// Names are those of the exact tree, escaped as it has them, and `:`, `,` and space as \xNN too, so that a line can
// always be taken apart again. What is not known (a user, a group, a status) is `?`.
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
  readonly lines: number;
  /** Of all lines together. */
  readonly characters: number;
  readonly processes: number;
}

const LIMITS: ForRestLimits = { lines: 100_000, characters: 32 << 20, processes: 100_000 };
/** Nodes of a line; the middle of a longer one becomes one node `...`. */
const NODES_LIMIT = 32;
const KEEP_ROOT = 16;
/** Of a process whose parent is not known, until it runs something. */
const UNKNOWN_NAME = "unknown";

/** One process. `above`: its ancestors' nodes, each as it was when it forked the next one. */
interface Member {
  readonly above: readonly string[];
  name: string;
  uid: number | undefined;
  gid: number | undefined;
  /** Its latest event. */
  node: string;
  /** At its fork, until it is known under which name that is written; null afterwards. */
  fork: Identity | null;
}

interface Identity {
  readonly name: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/** Collects the set of lines of a stream of events. */
export class ForRestLines {
  /** Events that found no room: lines or processes beyond the limits. */
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
    // A line that is missing cannot be told from one that never was.
    loss: () => undefined,
  };

  constructor(options: ForRestOptions) {
    this.name = (facts) => forRestName(options.name(facts));
    this.limits = options.limits ?? LIMITS;
  }

  /**
   * Processes that were there before the first event, parents by what /proc says. Their own history is not known:
   * each stands as one that ran its program, with nothing known of before, and makes no line.
   */
  begin(scan: readonly ScannedProcess[]): void {
    const byPid = new Map(scan.map((one) => [one.pid, one]));
    for (const one of scan) this.adopt(one, byPid, NODES_LIMIT * 4);
  }

  event(event: ProcessEvent): void {
    dispatch(this.handlers, event);
  }

  /** The effective group of a process changed: no sensor reports it yet, see docs/for-rest.md. */
  groupChanged(pid: number, gid: number): void {
    const member = this.members.get(pid);
    if (member !== undefined) member.gid = gid;
  }

  /** The unique lines so far, sorted; forks of processes that still may exec among them, under their present name. */
  lines(): string[] {
    const all = new Set(this.found);
    for (const member of this.members.values()) {
      if (member.fork !== null) all.add(lineOf(member.above, forkNode(member.fork, member.name)));
    }
    return [...all].sort();
  }

  private adopt(one: ScannedProcess, byPid: ReadonlyMap<number, ScannedProcess>, depth: number): Member {
    const before = this.members.get(one.pid);
    if (before !== undefined) return before;
    const parent = one.facts.parentPid === undefined ? undefined : byPid.get(one.facts.parentPid);
    const isTop = parent === undefined || parent === one || depth === 0;
    const above = isTop ? [] : childrenOf(this.adopt(parent, byPid, depth - 1));
    const { uid, gid } = one.facts;
    const name = this.name(one.facts);
    // Pid 1 is written bare.
    const node = one.pid === 1 ? name : nodeText(name, "eXec ", uid, gid, 0);
    const member: Member = { above, name, uid, gid, node, fork: null };
    this.keep(one.pid, member);
    return member;
  }

  private forked(pid: number, parentPid: number): void {
    const parent = this.members.get(parentPid);
    const before = this.members.get(pid);
    // Its end was missed.
    if (before !== undefined) this.settleFork(before);
    const { name, uid, gid } = parent ?? { name: UNKNOWN_NAME, uid: undefined, gid: undefined };
    const fork = { name, uid, gid };
    const above = parent === undefined ? [] : childrenOf(parent);
    this.keep(pid, { above, name, uid, gid, node: forkNode(fork, name), fork });
  }

  private execed(pid: number, facts: ProcessFacts): void {
    let member = this.members.get(pid);
    if (member === undefined) {
      const parent = facts.parentPid === undefined ? undefined : this.members.get(facts.parentPid);
      const above = parent === undefined ? [] : childrenOf(parent);
      member = { above, name: "", uid: undefined, gid: undefined, node: "", fork: null };
      this.keep(pid, member);
    }
    const other = member.name;
    member.name = this.name(facts);
    member.uid = facts.uid ?? member.uid;
    member.gid = facts.gid ?? member.gid;
    if (member.fork !== null) {
      this.add(member.above, forkNode(member.fork, member.name, member.fork.name));
      member.fork = null;
    }
    member.node = nodeText(member.name, `eXec ${other}`, member.uid, member.gid, 0);
    this.add(member.above, member.node);
  }

  private ended(pid: number, status: number | undefined): void {
    const member = this.members.get(pid);
    if (member === undefined) return;
    this.settleFork(member);
    this.add(member.above, nodeText(member.name, "end", member.uid, member.gid, status));
    this.members.delete(pid);
  }

  /** It never ran a program of its own. */
  private settleFork(member: Member): void {
    if (member.fork !== null) this.add(member.above, forkNode(member.fork, member.name));
  }

  private keep(pid: number, member: Member): void {
    // With events lost, ends are missed: the process known longest makes room.
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

/** Above a child of this process. */
function childrenOf({ above, node }: Member): readonly string[] {
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

/** `status`: wait(2)'s; its core flag (0x80) is not part of a line. */
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

const dividers = /[:, ]/g;

/** A label of the exact tree as a name of a line: the characters that divide a line escaped as well. */
export function forRestName(label: string): string {
  return label.replace(dividers, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}
