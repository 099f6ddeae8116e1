// What is remembered of connections and UDP sessions until they end, so that the record of the end has what that of the
// begin had.
import { payersOf } from "../enforcement/offender.ts";
import type { NetworkSubject } from "../policy/subject.ts";
import type { OpenedSocket } from "../report/records.ts";
import type { CloseEvent } from "../sensor/event.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";

interface Entry {
  readonly opened: OpenedSocket;
  readonly payers: readonly Payer[];
}

/** Some 500 bytes each. */
const SOCKETS = 8_192;
/** Of one user other than root, so that nobody makes others' connections be forgotten. */
const OF_USER = SOCKETS / 2;

export class OpenSockets {
  /** By the socket; sessions by socket and peer. The oldest is first. */
  private readonly entries = new Map<string, Entry>();
  private readonly shares = new Shares(SOCKETS, OF_USER);

  /** Remembers a connection or session. The oldest is forgotten if there is no room. */
  opened(subject: NetworkSubject, hasVerdict = false): void {
    const { process, tree, network, facts, lineage, bootTimeMs, userName } = subject;
    if (network.kind === "listen" || network.socket === undefined) return;
    const isSession = network.kind === "send";
    const key = isSession
      ? sessionKey(network.socket, network.peerAddress, network.peerPort)
      : `${network.socket}`;
    this.take(key);
    if (this.shares.left === 0) this.forgetOldest();
    const payers = payersOf(lineage, facts.realUid);
    if (!this.shares.take(payers)) return;
    const { pid, startTicks, startExact } = process;
    const opened = {
      process: { pid, startTicks, startExact },
      tree: { path: tree.path, id: tree.id },
      uid: facts.uid,
      network,
      hasVerdict,
      bootTimeMs,
      userName,
    };
    this.entries.set(key, { opened, payers });
  }

  /** What was remembered of it, which is forgotten now; undefined if nothing was. */
  closed({ socket, peerAddress, peerPort }: CloseEvent): OpenedSocket | undefined {
    const session = peerAddress === undefined ? undefined : sessionKey(socket, peerAddress, peerPort ?? 0);
    return (session === undefined ? undefined : this.take(session)) ?? this.take(`${socket}`);
  }

  private take(key: string): OpenedSocket | undefined {
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

function sessionKey(socket: number, address: string, port: number): string {
  return `${socket} ${address} ${port}`;
}
