// The one table of event kinds.
//
// A kind is a row here. What it has in a room is an entry of a table in that room, typed by one of the unions below
// (`Record<SensorKind, ...>` and the like, null where the kind has nothing there), so that the type checker names every
// room in which a new row lacks its entry.
import type { EventName } from "./event-names.ts";

interface EventKindRow {
  /** Who reports it: a sensor, or treewarden about itself. */
  readonly from: "sensor" | "treewarden";
  /** Policies decide about it. */
  readonly judged: boolean;
  /** A process begins to use the network; policies decide about it. */
  readonly isNetworkUse?: true;
  /** It is counted in `treewarden_events_total`, under the kind's name. */
  readonly counted: boolean;
  /** `event.name` of its record; null: it makes none, or, for a change, each has a name of its own. */
  readonly eventName: EventName | null;
  readonly meaning: string;
}

export const eventKinds = {
  fork: {
    from: "sensor",
    judged: false,
    counted: true,
    eventName: null,
    meaning: "a process was made by another one",
  },
  exec: {
    from: "sensor",
    judged: true,
    counted: true,
    eventName: "process.exec",
    meaning: "a process runs a program",
  },
  user: {
    from: "sensor",
    judged: false,
    counted: false,
    eventName: null,
    meaning: "the effective user of a process changed",
  },
  exit: {
    from: "sensor",
    judged: false,
    counted: true,
    eventName: "process.exit",
    meaning: "a process ended",
  },
  connect: {
    from: "sensor",
    judged: true,
    isNetworkUse: true,
    counted: true,
    eventName: "network.connect",
    meaning: "a process connects a TCP or UDP socket to a peer",
  },
  send: {
    from: "sensor",
    judged: true,
    isNetworkUse: true,
    counted: true,
    eventName: "network.send",
    meaning: "a process sends its first datagram to a peer over an unconnected UDP socket",
  },
  listen: {
    from: "sensor",
    judged: true,
    isNetworkUse: true,
    counted: true,
    eventName: "network.listen",
    meaning: "a process listens on a TCP socket, or binds a UDP socket to a port",
  },
  close: {
    from: "sensor",
    judged: false,
    counted: true,
    eventName: "network.close",
    meaning: "a connection, an attempt to connect or a UDP session ended",
  },
  loss: {
    from: "sensor",
    judged: false,
    counted: false,
    eventName: "sensor.loss",
    meaning: "the kernel made events that the sensor did not get",
  },
  change: {
    from: "treewarden",
    judged: false,
    counted: false,
    eventName: null,
    meaning: "something about treewarden itself changed",
  },
} as const satisfies Readonly<Record<string, EventKindRow>>;

type Table = typeof eventKinds;
type KindWhere<Columns extends Partial<EventKindRow>> = {
  [K in keyof Table]: Table[K] extends Columns ? K : never;
}[keyof Table];

export type EventKind = keyof Table;
/** What sensors report. */
export type SensorKind = KindWhere<{ from: "sensor" }>;
/** What policies decide about. */
export type JudgedKind = KindWhere<{ judged: true }>;
/** What policies decide about, of what processes do on the network. */
export type NetworkKind = KindWhere<{ judged: true; isNetworkUse: true }>;
/** What is counted under its own name. */
export type CountedKind = KindWhere<{ counted: true }>;
/** What has a record under a name that belongs to its kind. */
export type RecordedKind = KindWhere<{ eventName: EventName }>;
/** The `event.name` of these records. */
export type RecordedEventName = Table[RecordedKind]["eventName"];

const kinds = Object.keys(eventKinds).filter(isEventKind);

export const sensorKinds: readonly SensorKind[] = kinds.filter(isSensorKind);
export const judgedKinds: readonly JudgedKind[] = kinds.filter(isJudgedKind);
export const networkKinds: readonly NetworkKind[] = judgedKinds.filter(isNetworkKind);
export const countedKinds: readonly CountedKind[] = kinds.filter(isCountedKind);

/** What `make` returns for each judged kind. */
export function forJudgedKinds<T>(make: (kind: JudgedKind) => T): Readonly<Record<JudgedKind, T>> {
  return { exec: make("exec"), connect: make("connect"), send: make("send"), listen: make("listen") };
}

function isEventKind(name: string): name is EventKind {
  return Object.hasOwn(eventKinds, name);
}

function isJudgedKind(name: string): name is JudgedKind {
  return isEventKind(name) && eventKinds[name].judged;
}

export function isNetworkKind(kind: EventKind): kind is NetworkKind {
  return "isNetworkUse" in eventKinds[kind];
}

function isSensorKind(kind: EventKind): kind is SensorKind {
  return eventKinds[kind].from === "sensor";
}

function isCountedKind(kind: EventKind): kind is CountedKind {
  return eventKinds[kind].counted;
}
