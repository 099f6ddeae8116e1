// What is remembered of connections and UDP sessions until they end, so that the record of the end has what that of the
// begin had.
import { payersOf } from "../enforcement/offender.ts";
import type { Tree } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { NetworkSubject } from "../policy/subject.ts";
import type { OpenedSocket, Opener } from "../report/records.ts";
import type { CloseEvent } from "../sensor/event.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";

interface Entry {
  readonly opened: OpenedSocket;
  readonly payers: readonly Payer[];
}

/** The opener of a socket, and of what it was made. */
interface KnownOpener {
  readonly opener: Opener;
  readonly payers: readonly Payer[];
  readonly tree: Tree;
  readonly lineage: Lineage;
  readonly realUid: number | undefined;
}

/** Some 300 bytes each. */
const SOCKETS = 8_192;
/** Of one user other than root, so that nobody makes others' connections be forgotten. */
const OF_USER = SOCKETS / 2;

/** A socket, or a socket and a peer. */
type SocketKey = number | string;

export class OpenSockets {
  /** By the socket; sessions by socket and peer. The oldest is first. */
  private readonly entries = new Map<SocketKey, Entry>();
  /** Of the last socket: most often the next one is of the same process. Invalidated by: nothing, all of it is compared. */
  private last: KnownOpener | undefined;
  private readonly shares = new Shares(SOCKETS, OF_USER);

  /** Remembers a connection or session. The oldest is forgotten if there is no room. */
  opened(subject: NetworkSubject, hasVerdict = false): void {
    const { network } = subject;
    if (network.kind === "listen" || network.socket === undefined) return;
    const isSession = network.kind === "send";
    const key = isSession
      ? sessionKey(network.socket, network.peerAddress, network.peerPort)
      : network.socket;
    this.take(key);
    if (this.shares.left === 0) this.forgetOldest();
    const { opener, payers } = this.openerOf(subject);
    if (!this.shares.take(payers)) return;
    this.entries.set(key, { opened: { opener, network, hasVerdict }, payers });
  }

  /** What was remembered of it, which is forgotten now; undefined if nothing was. */
  closed({ socket, peerAddress, peerPort }: CloseEvent): OpenedSocket | undefined {
    const session = peerAddress === undefined ? undefined : sessionKey(socket, peerAddress, peerPort ?? 0);
    return (session === undefined ? undefined : this.take(session)) ?? this.take(socket);
  }

  private openerOf({ process, tree, facts, lineage, bootTimeMs, userName }: NetworkSubject): KnownOpener {
    const { last } = this;
    if (last?.tree === tree && last.lineage === lineage && last.realUid === facts.realUid) {
      const { opener } = last;
      const isSame = opener.uid === facts.uid && isSameProcess(opener.process, process);
      if (isSame && opener.bootTimeMs === bootTimeMs && opener.userName === userName) return last;
    }
    const { pid, startTicks, startExact } = process;
    const opener = {
      process: { pid, startTicks, startExact },
      tree: { path: tree.path, id: tree.id },
      uid: facts.uid,
      bootTimeMs,
      userName,
    };
    const payers = payersOf(lineage, facts.realUid);
    this.last = { opener, payers, tree, lineage, realUid: facts.realUid };
    return this.last;
  }

  private take(key: SocketKey): OpenedSocket | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    this.entries.delete(key);
    this.shares.giveBack(entry.payers);
    return entry.opened;
  }

  private forgetOldest(): void {
    const [oldest] = this.entries.keys();
    if (oldest !== undefined) this.take(oldest);
  }
}

function isSameProcess(a: ProcessKey, b: ProcessKey): boolean {
  return a.pid === b.pid && a.startTicks === b.startTicks && a.startExact === b.startExact;
}

function sessionKey(socket: number, address: string, port: number): string {
  return `${socket} ${address} ${port}`;
}
