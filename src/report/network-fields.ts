// What records and verdicts say of the socket of an event.
import type { NetworkEvent } from "../sensor/event.ts";
import type { EventRecord } from "./event-record.ts";

/** Transport, address and port: of the peer, or else where the socket listens. */
export function endpointText(event: NetworkEvent): string {
  const isListening = event.kind === "listen";
  const address = isListening ? event.localAddress : event.peerAddress;
  const port = isListening ? event.localPort : event.peerPort;
  return `${event.transport} ${hostAndPort(address, port)}`;
}

/** `192.0.2.1:443` or `[2001:db8::1]:443`. */
export function hostAndPort(address: string, port: number | string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The fields of a record that name the endpoint. */
export function networkFields(event: NetworkEvent): EventRecord {
  const common = { "network.transport": event.transport, "network.type": event.family };
  return event.kind === "listen"
    ? { ...common, "network.local.address": event.localAddress, "network.local.port": event.localPort }
    : { ...common, "network.peer.address": event.peerAddress, "network.peer.port": event.peerPort };
}
