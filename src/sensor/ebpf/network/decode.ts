// Decodes the records of the network programs to events. Depends on no kernel and no clock.
import { formatAddress } from "../../../vocabulary/ip-address.ts";
import type {
  AddressFamily,
  CloseEvent,
  CloseResult,
  ConnectEvent,
  ListenEvent,
  SendEvent,
  Transport,
} from "../../event.ts";
import { StringCache } from "../../string-cache.ts";
import { commonLayout } from "../layout.ts";
import { long, ticksAt, word } from "../record-words.ts";
import { closeLayout, socketLayout, socketStates, transportNumbers } from "./layout.ts";
import type { UdpSessions } from "./sessions.ts";

const source = "ebpf";

// asm-generic/errno.h
const ETIMEDOUT = 110;

export class NetworkDecoder {
  private readonly sessions: UdpSessions | undefined;
  private readonly addresses4 = new StringCache(1024, decodeAddress);
  private readonly addresses6 = new StringCache(1024, decodeAddress);

  constructor(sessions: UdpSessions | undefined) {
    this.sessions = sessions;
  }

  connect(bytes: Uint8Array, words: Uint32Array, start: number): ConnectEvent {
    return this.peerEvent("connect", bytes, words, start);
  }

  send(bytes: Uint8Array, words: Uint32Array, start: number): SendEvent {
    const event: SendEvent = this.peerEvent("send", bytes, words, start);
    this.sessions?.begin(event, bytes, start);
    return event;
  }

  listen(bytes: Uint8Array, words: Uint32Array, start: number): ListenEvent {
    const family = familyOf(bytes, start);
    return {
      kind: "listen",
      source,
      time: long(words, start, commonLayout.time),
      pid: word(words, start, commonLayout.pid),
      startTicks: ticksAt(words, start, socketLayout.start),
      uid: word(words, start, socketLayout.uid),
      transport: transportOf(bytes[start + socketLayout.transport]),
      family,
      socket: long(words, start, socketLayout.socket),
      denied: bytes[start + socketLayout.denied] === 1,
      localAddress: this.address(bytes, start + socketLayout.local, family),
      localPort: word(words, start, socketLayout.peerPort) >>> 16,
      found: false,
    };
  }

  /** Emits the end of a connection, or of each UDP session of a socket. */
  close(words: Uint32Array, start: number, sink: (event: CloseEvent) => void): void {
    const time = long(words, start, commonLayout.time);
    const socket = long(words, start, closeLayout.socket);
    const state = word(words, start, closeLayout.state);
    if ((state & socketStates.sessions) !== 0) this.sessions?.endAll(socket, time, sink);
    if ((state & socketStates.connecting) === 0) return;
    const transport = transportOf(word(words, start, closeLayout.transport));
    sink({
      kind: "close",
      source,
      time,
      socket,
      pid: word(words, start, commonLayout.pid),
      peerAddress: undefined,
      peerPort: undefined,
      result: transport === "udp" ? "closed" : resultOf(state, word(words, start, closeLayout.error)),
      durationNs: time - long(words, start, closeLayout.opened),
      count: undefined,
    });
  }

  private peerEvent<K extends "connect" | "send">(
    kind: K,
    bytes: Uint8Array,
    words: Uint32Array,
    start: number,
  ) {
    const family = familyOf(bytes, start);
    const ports = word(words, start, socketLayout.peerPort);
    const localPort = ports >>> 16;
    return {
      kind,
      source,
      time: long(words, start, commonLayout.time),
      pid: word(words, start, commonLayout.pid),
      startTicks: ticksAt(words, start, socketLayout.start),
      uid: word(words, start, socketLayout.uid),
      transport: transportOf(bytes[start + socketLayout.transport]),
      family,
      socket: long(words, start, socketLayout.socket),
      denied: bytes[start + socketLayout.denied] === 1,
      peerAddress: this.address(bytes, start + socketLayout.peer, family),
      peerPort: ports & 0xffff,
      localAddress: this.localAddress(bytes, words, start, family),
      localPort: localPort === 0 ? undefined : localPort,
    } as const;
  }

  /** Where the socket is bound; undefined: nowhere. An IPv6 socket with an IPv4 peer has a mapped address. */
  private localAddress(
    bytes: Uint8Array,
    words: Uint32Array,
    start: number,
    family: AddressFamily,
  ): string | undefined {
    const { local } = socketLayout;
    const first = word(words, start, local);
    const [third, last] = [word(words, start, local + 8), word(words, start, local + 12)];
    if (family === "ipv4" && first === 0)
      return last === 0 ? undefined : this.address(bytes, start + local + 12, family);
    const isUnbound = first === 0 && word(words, start, local + 4) === 0 && third === 0 && last === 0;
    return isUnbound ? undefined : this.address(bytes, start + local, family);
  }

  private address(bytes: Uint8Array, at: number, family: AddressFamily): string {
    return family === "ipv4"
      ? this.addresses4.text(bytes, at, at + 4)
      : this.addresses6.text(bytes, at, at + 16);
  }
}

function decodeAddress(bytes: Uint8Array, start: number, end: number): string {
  return formatAddress(bytes.subarray(start, end));
}

function familyOf(bytes: Uint8Array, start: number): AddressFamily {
  return bytes[start + socketLayout.family] === 4 ? "ipv4" : "ipv6";
}

function transportOf(number: number | undefined): Transport {
  return number === transportNumbers.tcp ? "tcp" : "udp";
}

/** How a connection ended, from its state before and the socket's error. */
function resultOf(state: number, error: number): CloseResult {
  if ((state & socketStates.established) !== 0) return error === 0 ? "established" : "reset";
  if (error === 0) return "closed";
  return error === ETIMEDOUT ? "timed_out" : "refused";
}
