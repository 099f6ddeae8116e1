// The items of a capture, and how each is written as a line. The table `codecs` has an entry for each kind of line.

import {
  eventKinds,
  type RecordedEventName,
  type SensorKind,
  sensorKinds,
} from "../../vocabulary/event-kinds.ts";
import type { PodOfContainer } from "../../vocabulary/pod.ts";
import { sensorSources } from "../../vocabulary/sensors.ts";
import {
  addressFamilies,
  type ConnectEvent,
  closeResults,
  type EventOf,
  lossReasons,
  type NetworkEvent,
  type ProcessEvent,
  type ScannedProcess,
  type SendEvent,
  transports,
} from "../event.ts";
import type { Line, OpenLine } from "./blocks.ts";
import { readFacts, writeFacts } from "./facts-line.ts";
import {
  bool,
  eventCount,
  field,
  Malformed,
  nullable,
  oneOf,
  optional,
  pid,
  port,
  rawText,
  text,
  ticks,
  time,
  uint32,
  uint64,
  valueIn,
} from "./line-values.ts";
import type { CaptureLineName } from "./names.ts";

/** The offsets between the host's clocks that apply to the following events, in nanoseconds. */
export interface ClockItem {
  readonly kind: "clock";
  /** CLOCK_REALTIME - CLOCK_MONOTONIC. */
  readonly wallOffset: number;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC. */
  readonly suspended: number;
}

/** A scan of /proc that began at `time` (ns, CLOCK_MONOTONIC): the first one, or one after a loss of events. */
export interface ScanItem {
  readonly kind: "scan";
  readonly processes: readonly ScannedProcess[];
  readonly time: number;
}

/** All events from before the last scan have been written. Processes that the scan did not find have ended. */
export interface ScanEndItem {
  readonly kind: "scan_end";
}

/** The exact start time of a process. It was read from /proc, because no event contained it. */
export interface ProcessStartItem {
  readonly kind: "process_start";
  readonly pid: number;
  readonly startTicks: number;
}

/** The name of a user on the host. It precedes the first event of that user. */
export interface UserNameItem {
  readonly kind: "user_name";
  readonly uid: number;
  readonly name: string;
}

/** The examiner's answer about a file of the host. It applies from here on. */
export interface ExaminedItem {
  readonly kind: "examined";
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  /** undefined while there is no answer. */
  readonly examined:
    | {
        readonly package?: string | null | undefined;
        readonly unpackaged?: boolean | undefined;
        readonly modified?: boolean | undefined;
      }
    | undefined;
}

/** What is known of a container, from here on. */
export interface ContainerItem {
  readonly kind: "container";
  readonly id: string;
  /** null: it is not known; undefined: the examiner has not answered yet. */
  readonly image: string | null | undefined;
  /** null: it belongs to none; undefined: that is not known. */
  readonly pod: PodOfContainer | null | undefined;
}

/**
 * Whether what a process began to run at `time` holds what was accepted, as far as the warden knew when it judged. It comes
 * before the exec, or the scan; and once more where the exec was judged again, if the answer was awaited.
 */
export interface ChangedItem {
  readonly kind: "changed";
  readonly pid: number;
  /** Of the exec or the scan: ns, CLOCK_MONOTONIC. */
  readonly time: number;
  /** undefined: it could not be told. */
  readonly changed: boolean | undefined;
  readonly isAwaited: boolean;
}

/** What the warden knew of the peer of the connection or datagram that follows. */
export interface PeerItem {
  readonly kind: "peer";
  readonly pid: number;
  /** Of the event: ns, CLOCK_MONOTONIC. */
  readonly time: number;
  /** null: none is known; undefined: names are not known. */
  readonly name: string | null | undefined;
  /** Whether the baseline has it; null: no destinations were accepted; undefined: it could not be told. */
  readonly known: boolean | null | undefined;
}

/** Items of these kinds no longer apply. Those that still hold are written again when they are next needed. */
export interface ForgetItem {
  readonly kind: "forget";
  readonly what: Forgettable;
}
const forgettables = ["user_names", "examined", "containers"] as const;
export type Forgettable = (typeof forgettables)[number];

/** A text on which verdicts depend, such as the policy in force. It replaces an earlier text of the same name. */
export interface TextItem {
  readonly kind: "text";
  readonly name: string;
  readonly text: string;
}

export type CaptureItem =
  | ProcessEvent
  | ClockItem
  | ScanItem
  | ScanEndItem
  | ProcessStartItem
  | UserNameItem
  | ExaminedItem
  | ContainerItem
  | ChangedItem
  | PeerItem
  | ForgetItem
  | TextItem;

/** Every event that a sensor reports is one line. */
type EventItems = { readonly [K in SensorKind]: EventOf<K> };

/**
 * The content of each kind of line. A scan is one `scanned` line for each process, followed by a `scan` line. A long
 * text takes several lines.
 */
export interface LineItems extends EventItems {
  readonly clock: ClockItem;
  readonly scanned: { readonly kind: "scanned"; readonly process: ScannedProcess };
  readonly scan: Omit<ScanItem, "processes">;
  readonly scan_end: ScanEndItem;
  readonly process_start: ProcessStartItem;
  readonly user_name: UserNameItem;
  readonly examined: ExaminedItem;
  readonly container: ContainerItem;
  readonly changed: ChangedItem;
  readonly peer: PeerItem;
  readonly forget: ForgetItem;
  readonly text: TextItem & { readonly isLast: boolean };
}
export type LineKind = keyof LineItems;

interface Codec<T> {
  /** `event.name` of the line. */
  readonly name: CaptureLineName | RecordedEventName;
  /** Adds the item's fields to the line. */
  readonly write: (item: T, line: OpenLine) => void;
  /** Throws Malformed. */
  readonly read: (line: Line) => T;
}

const fields = {
  source: field("sensor.source", oneOf(sensorSources)),
  /** Nanoseconds, CLOCK_MONOTONIC. */
  time: field("event.monotonic_time", time),
  pid: field("process.pid", pid),
  parentPid: field("process.parent_pid", pid),
  startTicks: field("process.start_ticks", ticks),
  startExact: field("process.start_exact", bool),
  uid: field("process.user.id", uint32),
  realUid: field("process.real_user.id", uint32),
  userName: field("process.user.name", text),
  status: field("process.exit.status", optional(uint32)),
  startTicksIfKnown: field("process.start_ticks", optional(ticks)),
  uidIfKnown: field("process.user.id", optional(uint32)),
  transport: field("network.transport", oneOf(transports)),
  family: field("network.type", oneOf(addressFamilies)),
  socket: field("network.socket", optional(eventCount)),
  closedSocket: field("network.socket", eventCount),
  isDenied: field("network.denied", bool),
  isFound: field("network.found", bool),
  peerAddress: field("network.peer.address", text),
  peerPort: field("network.peer.port", port),
  endedPeerAddress: field("network.peer.address", optional(text)),
  endedPeerPort: field("network.peer.port", optional(port)),
  localAddress: field("network.local.address", text),
  localPort: field("network.local.port", port),
  boundAddress: field("network.local.address", optional(text)),
  boundPort: field("network.local.port", optional(port)),
  opener: field("process.pid", optional(pid)),
  result: field("network.result", oneOf(closeResults)),
  duration: field("network.duration_ns", time),
  datagrams: field("network.datagrams", optional(eventCount)),
  lossReason: field("sensor.loss.reason", oneOf(lossReasons)),
  lossCount: field("sensor.loss.count", optional(eventCount)),
  kernelThread: field("process.kernel_thread", bool),
  wallOffset: field("clock.wall_offset", time),
  suspended: field("clock.suspended", time),
  path: field("process.executable.path", text),
  device: field("process.executable.device", uint64),
  inode: field("process.executable.inode", uint64),
  isExamined: field("process.executable.examined", bool),
  package: field("process.executable.package", optional(nullable(text))),
  unpackaged: field("process.executable.unpackaged", optional(bool)),
  modified: field("process.executable.modified", optional(bool)),
  container: field("container.id", text),
  image: field("container.image.name", optional(nullable(text))),
  pod: field("k8s.pod.name", optional(nullable(text))),
  namespace: field("k8s.namespace.name", optional(text)),
  containerInPod: field("k8s.container.name", optional(text)),
  changed: field("process.runnable.changed", optional(bool)),
  isAwaited: field("capture.awaited", bool),
  peerName: field("destination.name", optional(nullable(text))),
  peerKnown: field("destination.known", optional(nullable(bool))),
  forgotten: field("capture.forgotten", oneOf(forgettables)),
  textName: field("capture.text_name", text),
  text: field("capture.text", rawText),
  isLast: field("capture.text_end", bool),
} as const;

function podIn(line: Line): PodOfContainer | null | undefined {
  const name = valueIn(line, fields.pod);
  if (typeof name !== "string") return name;
  return {
    name,
    namespace: valueIn(line, fields.namespace),
    container: valueIn(line, fields.containerInPod),
  };
}

const codecs: { readonly [K in LineKind]: Codec<LineItems[K]> } = {
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
  clock: {
    name: "capture.clock",
    write: ({ wallOffset, suspended }, line) => {
      line[fields.wallOffset.name] = fields.wallOffset.write(wallOffset);
      line[fields.suspended.name] = fields.suspended.write(suspended);
    },
    read: (line) => ({
      kind: "clock",
      wallOffset: valueIn(line, fields.wallOffset),
      suspended: valueIn(line, fields.suspended),
    }),
  },
  scanned: {
    name: "capture.scanned_process",
    write: ({ process }, line) => {
      line[fields.pid.name] = process.pid;
      line[fields.kernelThread.name] = process.kernelThread;
      writeFacts(process.facts, line);
    },
    read: (line) => ({
      kind: "scanned",
      process: {
        pid: valueIn(line, fields.pid),
        kernelThread: valueIn(line, fields.kernelThread),
        facts: readFacts(line),
      },
    }),
  },
  scan: {
    name: "capture.scan",
    write: ({ time: at }, line) => {
      line[fields.time.name] = fields.time.write(at);
    },
    read: (line) => ({ kind: "scan", time: valueIn(line, fields.time) }),
  },
  scan_end: {
    name: "capture.scan_end",
    write: () => {},
    read: () => ({ kind: "scan_end" }),
  },
  process_start: {
    name: "capture.process_start",
    write: ({ pid: process, startTicks }, line) => {
      line[fields.pid.name] = process;
      line[fields.startTicks.name] = fields.startTicks.write(startTicks);
    },
    read: (line) => ({
      kind: "process_start",
      pid: valueIn(line, fields.pid),
      startTicks: valueIn(line, fields.startTicks),
    }),
  },
  user_name: {
    name: "capture.user_name",
    write: ({ uid, name }, line) => {
      line[fields.uid.name] = uid;
      line[fields.userName.name] = fields.userName.write(name);
    },
    read: (line) => ({
      kind: "user_name",
      uid: valueIn(line, fields.uid),
      name: valueIn(line, fields.userName),
    }),
  },
  examined: {
    name: "capture.examined",
    write: ({ path, device, inode, examined }, line) => {
      line[fields.path.name] = fields.path.write(path);
      line[fields.device.name] = fields.device.write(device);
      line[fields.inode.name] = fields.inode.write(inode);
      line[fields.isExamined.name] = examined !== undefined;
      line[fields.package.name] = fields.package.write(examined?.package);
      line[fields.unpackaged.name] = examined?.unpackaged;
      line[fields.modified.name] = examined?.modified;
    },
    read: (line) => {
      const owner = valueIn(line, fields.package);
      const unpackaged = valueIn(line, fields.unpackaged);
      const modified = valueIn(line, fields.modified);
      return {
        kind: "examined",
        path: valueIn(line, fields.path),
        device: valueIn(line, fields.device),
        inode: valueIn(line, fields.inode),
        examined: valueIn(line, fields.isExamined)
          ? {
              ...(owner === undefined ? {} : { package: owner }),
              ...(unpackaged === undefined ? {} : { unpackaged }),
              ...(modified === undefined ? {} : { modified }),
            }
          : undefined,
      };
    },
  },
  container: {
    name: "capture.container",
    write: ({ id, image, pod }, line) => {
      line[fields.container.name] = fields.container.write(id);
      line[fields.image.name] = fields.image.write(image);
      line[fields.pod.name] = fields.pod.write(pod === null ? null : pod?.name);
      line[fields.namespace.name] = fields.namespace.write(pod?.namespace);
      line[fields.containerInPod.name] = fields.containerInPod.write(pod?.container);
    },
    read: (line) => ({
      kind: "container",
      id: valueIn(line, fields.container),
      image: valueIn(line, fields.image),
      pod: podIn(line),
    }),
  },
  changed: {
    name: "capture.changed",
    write: ({ pid: process, time: at, changed, isAwaited }, line) => {
      line[fields.pid.name] = process;
      line[fields.time.name] = fields.time.write(at);
      line[fields.changed.name] = changed;
      line[fields.isAwaited.name] = isAwaited;
    },
    read: (line) => ({
      kind: "changed",
      pid: valueIn(line, fields.pid),
      time: valueIn(line, fields.time),
      changed: valueIn(line, fields.changed),
      isAwaited: valueIn(line, fields.isAwaited),
    }),
  },
  peer: {
    name: "capture.peer",
    write: ({ pid: process, time: at, name, known }, line) => {
      line[fields.pid.name] = process;
      line[fields.time.name] = fields.time.write(at);
      line[fields.peerName.name] = fields.peerName.write(name);
      line[fields.peerKnown.name] = fields.peerKnown.write(known);
    },
    read: (line) => ({
      kind: "peer",
      pid: valueIn(line, fields.pid),
      time: valueIn(line, fields.time),
      name: valueIn(line, fields.peerName),
      known: valueIn(line, fields.peerKnown),
    }),
  },
  forget: {
    name: "capture.forget",
    write: ({ what }, line) => {
      line[fields.forgotten.name] = what;
    },
    read: (line) => ({ kind: "forget", what: valueIn(line, fields.forgotten) }),
  },
  text: {
    name: "capture.text",
    write: ({ name, text: content, isLast }, line) => {
      line[fields.textName.name] = fields.textName.write(name);
      line[fields.text.name] = content;
      line[fields.isLast.name] = isLast;
    },
    read: (line) => ({
      kind: "text",
      name: valueIn(line, fields.textName),
      text: valueIn(line, fields.text),
      isLast: valueIn(line, fields.isLast),
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

const sensors: ReadonlySet<string> = new Set(sensorKinds);

/** Whether the item is an event of a sensor. */
export function isEvent(item: CaptureItem): item is ProcessEvent {
  return sensors.has(item.kind);
}

/** The line of an item. */
export function writeItem<K extends LineKind>(kind: K, item: LineItems[K]): Line {
  const { name, write } = codecs[kind];
  const line: OpenLine = { "event.name": name };
  write(item, line);
  return line;
}

const readers = new Map<unknown, (line: Line) => LineItems[LineKind]>(
  Object.values(codecs).map(({ name, read }) => [name, read]),
);

/**
 * Parses a line. Throws Malformed, also if the name of the line is unknown: verdicts might depend on a line that a
 * newer version has added, so it must not be skipped.
 */
export function readItem(line: Line): LineItems[LineKind] {
  const read = readers.get(line["event.name"]);
  if (read === undefined) throw new Malformed("a line has no event.name that this version knows");
  return read(line);
}
