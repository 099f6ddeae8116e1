// The UDP sessions that were reported and have not ended. The kernel counts their datagrams in a map, from which each is
// taken when its socket is closed, or when it has been idle.
import type { CloseEvent, SendEvent } from "../../event.ts";
import { commonLayout } from "../layout.ts";
import { sessionKey, sessionValue, socketLayout } from "./layout.ts";

/** The kernel's map of sessions. */
export interface SessionMap {
  /** Copies what the map has for `key` into `value`; false if nothing. */
  lookup(key: Uint8Array, value: Uint8Array): boolean;
  delete(key: Uint8Array): boolean;
}

/** A session without a datagram for this long has ended; a further one begins another. */
const IDLE_NS = 60e9;
/** Sessions that are looked at in one step, and those of one more socket: less than a millisecond. */
const STEP = 64;
/** A socket that sends to more peers at a time is a scan, or a server: the ends of further sessions are not reported. */
const PER_SOCKET = 256;

interface Session {
  readonly key: Uint8Array<ArrayBuffer>;
  readonly event: SendEvent;
}

/** At most `limit` sessions, as many as the kernel's map has; of more, the oldest is forgotten without an end. */
export class UdpSessions {
  private readonly map: SessionMap;
  private readonly limit: number;
  private readonly value = new Uint8Array(new ArrayBuffer(sessionValue.size));
  private readonly view = new DataView(this.value.buffer);
  /** By the socket, and within it by the key. */
  private readonly sockets = new Map<number, Map<string, Session>>();
  private count = 0;
  /** A session ends after this time, although it goes on; ns. */
  longestNs = Number.POSITIVE_INFINITY;
  /** The sockets whose sessions are still to be looked at in this round. */
  private round: Iterator<[number, Map<string, Session>]> | undefined;

  constructor(map: SessionMap, limit: number) {
    this.map = map;
    this.limit = limit;
  }

  /** Takes note of the session of `event`, whose record is at `start`. */
  begin(event: SendEvent, bytes: Uint8Array, start: number): void {
    const { socket } = event;
    if (event.denied || socket === undefined) return;
    const key = new Uint8Array(new ArrayBuffer(sessionKey.size));
    const from = start + socketLayout.socket;
    key.set(bytes.subarray(from, from + 8), sessionKey.socket);
    key.set(bytes.subarray(start + socketLayout.peer, start + socketLayout.peer + 16), sessionKey.address);
    const port = start + socketLayout.peerPort;
    key.set(bytes.subarray(port, port + 2), sessionKey.port);
    key[sessionKey.family] = bytes[start + socketLayout.family] ?? 0;
    const [pid, execId] = [start + commonLayout.pid, start + socketLayout.execId];
    key.set(bytes.subarray(pid, pid + 4), sessionKey.pid);
    key.set(bytes.subarray(execId, execId + 4), sessionKey.execId);

    let sessions = this.sockets.get(socket);
    if (sessions === undefined) {
      sessions = new Map();
      this.sockets.set(socket, sessions);
    }
    const name = key.join();
    if (!sessions.has(name)) {
      if (sessions.size >= PER_SOCKET) return;
      this.count += 1;
    }
    sessions.set(name, { key, event });
    if (this.count > this.limit) this.forgetOldest();
  }

  /** Emits the end of every session of a socket that was closed at `time`. */
  endAll(socket: number, time: number, sink: (event: CloseEvent) => void): void {
    const sessions = this.sockets.get(socket);
    if (sessions === undefined) return;
    this.sockets.delete(socket);
    this.count -= sessions.size;
    for (const session of sessions.values()) this.end(session, time, sink);
  }

  /** Emits the end of some sessions that at `now` were idle for a minute or too long; to be called at intervals. */
  endOverdue(now: number, sink: (event: CloseEvent) => void): void {
    for (let looked = 0; looked < STEP; ) {
      this.round ??= this.sockets.entries();
      const next = this.round.next();
      if (next.done === true) {
        this.round = undefined;
        return;
      }
      const [socket, sessions] = next.value;
      for (const [name, session] of sessions) {
        looked += 1;
        const last = this.lastOf(session);
        if (last > now - IDLE_NS && now - session.event.time < this.longestNs) continue;
        sessions.delete(name);
        this.count -= 1;
        this.end(session, last, sink);
      }
      if (sessions.size === 0) this.sockets.delete(socket);
    }
  }

  /** When the last datagram of a session was sent; if the kernel has dropped it for others, its first. */
  private lastOf({ key, event }: Session): number {
    if (!this.map.lookup(key, this.value)) return event.time;
    return Number(this.view.getBigUint64(sessionValue.last, true));
  }

  private end({ key, event }: Session, time: number, sink: (event: CloseEvent) => void): void {
    const isThere = this.map.lookup(key, this.value);
    this.map.delete(key);
    sink({
      kind: "close",
      source: event.source,
      time,
      socket: event.socket ?? 0,
      pid: event.pid,
      peerAddress: event.peerAddress,
      peerPort: event.peerPort,
      result: "closed",
      durationNs: Math.max(0, time - event.time),
      count: isThere ? Number(this.view.getBigUint64(sessionValue.count, true)) : undefined,
    });
  }

  /** Forgets all sessions without an end. */
  clear(): void {
    this.sockets.clear();
    this.count = 0;
    this.round = undefined;
  }

  private forgetOldest(): void {
    for (const [socket, sessions] of this.sockets) {
      this.sockets.delete(socket);
      this.count -= sessions.size;
      return;
    }
  }
}
