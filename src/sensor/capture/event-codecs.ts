// How each kind of event is written as a line of a capture.
import { eventKinds, type SensorKind } from "../../vocabulary/event-kinds.ts";
import type { ConnectEvent, EventOf, NetworkEvent, SendEvent } from "../event.ts";
import type { Line, OpenLine } from "./blocks.ts";
import { readFacts, writeFacts } from "./facts-line.ts";
import { type Codec, fields } from "./item-fields.ts";
import { valueIn } from "./line-values.ts";

export const eventCodecs: { readonly [K in SensorKind]: Codec<EventOf<K>> } = {
  fork: {
    name: "process.fork",
    write: ({ source, time: at, pid: child, parentPid, startTicks, startExact }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.pid.name] = child;
      line[fields.parentPid.name] = parentPid;
      line[fields.startTicks.name] = fields.startTicks.write(startTicks);
      line[fields.startExact.name] = startExact;
    },
    read: (line) => ({
      kind: "fork",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      pid: valueIn(line, fields.pid),
      parentPid: valueIn(line, fields.parentPid),
      startTicks: valueIn(line, fields.startTicks),
      startExact: valueIn(line, fields.startExact),
    }),
  },
  exec: {
    name: eventKinds.exec.eventName,
    write: ({ source, time: at, pid: process, facts }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.pid.name] = process;
      writeFacts(facts, line);
    },
    read: (line) => ({
      kind: "exec",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      pid: valueIn(line, fields.pid),
      facts: readFacts(line),
    }),
  },
  user: {
    name: "process.user",
    write: ({ source, time: at, pid: process, uid, realUid }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.pid.name] = process;
      line[fields.uid.name] = uid;
      line[fields.realUid.name] = realUid;
    },
    read: (line) => ({
      kind: "user",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      pid: valueIn(line, fields.pid),
      uid: valueIn(line, fields.uid),
      realUid: valueIn(line, fields.realUid),
    }),
  },
  exit: {
    name: eventKinds.exit.eventName,
    write: ({ source, time: at, pid: process, status }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.pid.name] = process;
      line[fields.status.name] = fields.status.write(status);
    },
    read: (line) => ({
      kind: "exit",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      pid: valueIn(line, fields.pid),
      status: valueIn(line, fields.status),
    }),
  },
  connect: {
    name: eventKinds.connect.eventName,
    write: writePeer,
    read: (line) => ({ kind: "connect", ...readPeer(line) }),
  },
  send: {
    name: eventKinds.send.eventName,
    write: writePeer,
    read: (line) => ({ kind: "send", ...readPeer(line) }),
  },
  listen: {
    name: eventKinds.listen.eventName,
    write: (event, line) => {
      writeSocket(event, line);
      line[fields.localAddress.name] = fields.localAddress.write(event.localAddress);
      line[fields.localPort.name] = event.localPort;
      line[fields.isFound.name] = event.found;
    },
    read: (line) => ({
      kind: "listen",
      ...readSocket(line),
      localAddress: valueIn(line, fields.localAddress),
      localPort: valueIn(line, fields.localPort),
      found: valueIn(line, fields.isFound),
    }),
  },
  close: {
    name: eventKinds.close.eventName,
    write: ({ source, time: at, socket, pid: process, peerAddress, peerPort, ...end }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.socket.name] = fields.socket.write(socket);
      line[fields.opener.name] = fields.opener.write(process);
      line[fields.endedPeerAddress.name] = fields.endedPeerAddress.write(peerAddress);
      line[fields.endedPeerPort.name] = fields.endedPeerPort.write(peerPort);
      line[fields.result.name] = end.result;
      line[fields.duration.name] = fields.duration.write(end.durationNs);
      line[fields.datagrams.name] = fields.datagrams.write(end.count);
    },
    read: (line) => ({
      kind: "close",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      socket: valueIn(line, fields.closedSocket),
      pid: valueIn(line, fields.opener),
      peerAddress: valueIn(line, fields.endedPeerAddress),
      peerPort: valueIn(line, fields.endedPeerPort),
      result: valueIn(line, fields.result),
      durationNs: valueIn(line, fields.duration),
      count: valueIn(line, fields.datagrams),
    }),
  },
  loss: {
    name: eventKinds.loss.eventName,
    write: ({ source, time: at, reason, count: lost }, line) => {
      line[fields.source.name] = source;
      line[fields.time.name] = fields.time.write(at);
      line[fields.lossReason.name] = reason;
      line[fields.lossCount.name] = fields.lossCount.write(lost);
    },
    read: (line) => ({
      kind: "loss",
      source: valueIn(line, fields.source),
      time: valueIn(line, fields.time),
      reason: valueIn(line, fields.lossReason),
      count: valueIn(line, fields.lossCount),
    }),
  },
};

/** What the events of all sockets have. */
type SocketFields = Omit<NetworkEvent, "kind" | "peerAddress" | "peerPort" | "localAddress" | "localPort">;

function writeSocket(event: SocketFields, line: OpenLine): void {
  line[fields.source.name] = event.source;
  line[fields.time.name] = fields.time.write(event.time);
  line[fields.pid.name] = event.pid;
  line[fields.startTicksIfKnown.name] = fields.startTicksIfKnown.write(event.startTicks);
  line[fields.uidIfKnown.name] = event.uid;
  line[fields.transport.name] = event.transport;
  line[fields.family.name] = event.family;
  line[fields.socket.name] = fields.socket.write(event.socket);
  line[fields.isDenied.name] = event.denied;
}

function readSocket(line: Line): SocketFields {
  return {
    source: valueIn(line, fields.source),
    time: valueIn(line, fields.time),
    pid: valueIn(line, fields.pid),
    startTicks: valueIn(line, fields.startTicksIfKnown),
    uid: valueIn(line, fields.uidIfKnown),
    transport: valueIn(line, fields.transport),
    family: valueIn(line, fields.family),
    socket: valueIn(line, fields.socket),
    denied: valueIn(line, fields.isDenied),
  };
}

function writePeer(event: ConnectEvent | SendEvent, line: OpenLine): void {
  writeSocket(event, line);
  line[fields.peerAddress.name] = fields.peerAddress.write(event.peerAddress);
  line[fields.peerPort.name] = event.peerPort;
  line[fields.boundAddress.name] = fields.boundAddress.write(event.localAddress);
  line[fields.boundPort.name] = event.localPort;
}

function readPeer(line: Line): Omit<ConnectEvent, "kind"> {
  return {
    ...readSocket(line),
    peerAddress: valueIn(line, fields.peerAddress),
    peerPort: valueIn(line, fields.peerPort),
    localAddress: valueIn(line, fields.boundAddress),
    localPort: valueIn(line, fields.boundPort),
  };
}
