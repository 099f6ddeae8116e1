// The items of a capture. item-codecs.ts writes each as a line.
import { type SensorKind, sensorKinds } from "../../vocabulary/event-kinds.ts";
import type { PodOfContainer } from "../../vocabulary/pod.ts";
import type { EventOf, ProcessEvent, ScannedProcess } from "../event.ts";

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
  /** undefined: it could not be determined. */
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
  /** Whether the baseline has it; null: no destinations were accepted; undefined: it could not be determined. */
  readonly known: boolean | null | undefined;
}

/** Items of these kinds no longer apply. Those that still hold are written again when they are next needed. */
export interface ForgetItem {
  readonly kind: "forget";
  readonly what: Forgettable;
}
export const forgettables = ["user_names", "examined", "containers"] as const;
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

const sensors: ReadonlySet<string> = new Set(sensorKinds);

/** Whether the item is an event of a sensor. */
export function isEvent(item: CaptureItem): item is ProcessEvent {
  return sensors.has(item.kind);
}
