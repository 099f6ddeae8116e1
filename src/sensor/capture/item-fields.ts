// The fields of the lines of a capture, by the names that records have for the same things.
import type { RecordedEventName } from "../../vocabulary/event-kinds.ts";
import { sensorSources } from "../../vocabulary/sensors.ts";
import { addressFamilies, closeResults, lossReasons, transports } from "../event.ts";
import type { Line, OpenLine } from "./blocks.ts";
import { forgettables } from "./items.ts";
import {
  bool,
  eventCount,
  field,
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
} from "./line-values.ts";
import type { CaptureLineName } from "./names.ts";

/** How one kind of item is written as a line, and read. */
export interface Codec<T> {
  /** `event.name` of the line. */
  readonly name: CaptureLineName | RecordedEventName;
  /** Adds the item's fields to the line. */
  readonly write: (item: T, line: OpenLine) => void;
  /** Throws Malformed. */
  readonly read: (line: Line) => T;
}

export const fields = {
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
