// The events of a sensor: processes (thread groups) that fork, exec, change user, exit and use the
// network; and what was lost.
import { isNetworkKind, type NetworkKind, type SensorKind } from "../vocabulary/event-kinds.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import type { SensorSource } from "../vocabulary/sensors.ts";
import type { CarriedSignals, CondemnedProcesses } from "./condemned.ts";
import type { NetworkDenials } from "./network/denial.ts";
import type { NetworkWatch } from "./network/watch.ts";
import type { Prevention } from "./prevention/closed-set.ts";

export type { SensorSource };

/**
 * Variables of an environment by name: each that was looked for, null if it is not set. The values of one that is set
 * more than once are joined by a colon, because programs differ in which of them they take.
 */
export type EnvironmentVariables = ReadonlyMap<string, string | null>;

/**
 * What is known of the program a process runs. `undefined`: could not be read. `null`: the process really has none.
 * Text is as `decodeText` (linux/text.ts) makes it: nothing is lost, nothing is escaped yet.
 */
export interface ProcessFacts {
  /** Start of the process in clock ticks (USER_HZ, 100 a second) since boot: field 22 of /proc/PID/stat. */
  readonly startTicks: number | undefined;
  /** The parent's process id, as the kernel has it now (a reaper, for an orphan). */
  readonly parentPid: number | undefined;
  /** Absolute path of the executable, without the kernel's " (deleted)". For a memfd: `memfd:NAME`. */
  readonly executable: string | undefined;
  /** The executable's file had been removed when it was looked at. */
  readonly executableDeleted: boolean | undefined;
  /** The executable is a memfd (anonymous memory). */
  readonly executableMemfd: boolean | undefined;
  /** The executable's file has its set-user-id or set-group-id bit. */
  readonly executableSetuid: boolean | undefined;
  /** Seconds from the executable's ctime to the exec. */
  readonly executableAge: number | undefined;
  /** The path that the kernel was given, if the source can tell. */
  readonly filename: string | undefined;
  /** The `#!` script that the kernel was given, if the source can tell: outranks any guess from the arguments. */
  readonly script: string | undefined;
  readonly args: readonly string[] | undefined;
  /** `args` were longer than the sensor's limit. */
  readonly argsTruncated: boolean;
  readonly cwd: string | undefined;
  /** Effective user. */
  readonly uid: number | undefined;
  readonly realUid: number | undefined;
  readonly gid: number | undefined;
  /** Audit login user; null if none was ever set. */
  readonly loginUid: number | null | undefined;
  readonly sessionId: number | undefined;
  /** Controlling terminal such as `pts/0`; null if none. */
  readonly tty: string | null | undefined;
  /** Path in the unified hierarchy, else in systemd's. */
  readonly cgroup: string | undefined;
  /** The executable's file: st_dev and st_ino, and the inodes of the process's namespaces. */
  readonly device: number | undefined;
  readonly inode: number | undefined;
  readonly mountNamespace: number | undefined;
  readonly pidNamespace: number | undefined;
  /**
   * Its mount namespace belongs to a user namespace other than the host's: what lies at a path there is the choice of
   * whoever made it, and no right was needed for that.
   */
  readonly userMounts: boolean | undefined;
  /** Root owns the executable's file, and the mode lets nobody else write it. */
  readonly executableTrusted: boolean | undefined;
  /** The variables that were asked for; undefined if nobody asked, or if the environment could not be read whole. */
  readonly environment: EnvironmentVariables | undefined;
  /** The environment was asked for and could not be read whole; undefined if nobody asked. */
  readonly environmentTruncated: boolean | undefined;
}

/** The facts of a process of which nothing could be read. */
export const unknownFacts: ProcessFacts = {
  startTicks: undefined,
  parentPid: undefined,
  executable: undefined,
  executableDeleted: undefined,
  executableMemfd: undefined,
  executableSetuid: undefined,
  executableAge: undefined,
  filename: undefined,
  script: undefined,
  args: undefined,
  argsTruncated: false,
  cwd: undefined,
  uid: undefined,
  realUid: undefined,
  gid: undefined,
  loginUid: undefined,
  sessionId: undefined,
  tty: undefined,
  cgroup: undefined,
  device: undefined,
  inode: undefined,
  mountNamespace: undefined,
  pidNamespace: undefined,
  userMounts: undefined,
  executableTrusted: undefined,
  environment: undefined,
  environmentTruncated: undefined,
};

/** The new process is the event's own ProcessKey. */
export interface ForkEvent extends ProcessKey {
  readonly kind: "fork";
  readonly source: SensorSource;
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
  /** The process that forked, not the one an orphan is given to later. */
  readonly parentPid: number;
  /** That of the program which the child has from its parent, see `ExecEvent`; absent where it is not known. */
  readonly execId?: number;
}

export interface ExecEvent {
  readonly kind: "exec";
  readonly source: SensorSource;
  readonly time: number;
  readonly pid: number;
  readonly facts: ProcessFacts;
  /** By which the kernel tells this program from the others of the process; absent where it is not known. */
  readonly execId?: number;
  /** The kernel has ended the process before the program's first instruction, see `Prevention`. */
  readonly prevented?: boolean;
  /** The kernel should have ended it, and could not. */
  readonly preventionFailed?: boolean;
}

export interface UserEvent {
  readonly kind: "user";
  readonly source: SensorSource;
  readonly time: number;
  readonly pid: number;
  readonly uid: number;
  readonly realUid: number;
}

export interface ExitEvent {
  readonly kind: "exit";
  readonly source: SensorSource;
  readonly time: number;
  readonly pid: number;
  /** Raw wait status (wait(2)): exit code << 8, or the signal, + 0x80 if it dumped core. */
  readonly status: number | undefined;
}

/** `tcp` includes MPTCP, `udp` includes UDP-Lite. */
export const transports = ["tcp", "udp"] as const;
export type Transport = (typeof transports)[number];

/** A v4-mapped address of IPv6 (::ffff:0:0/96) is `ipv4`, so that rules on IPv4 networks hold for it. */
export const addressFamilies = ["ipv4", "ipv6"] as const;
export type AddressFamily = (typeof addressFamilies)[number];

/** An event of a socket, with the process (thread group) in whose context it happened. */
interface SocketEvent {
  readonly source: SensorSource;
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
  readonly pid: number;
  /** Start of the process in clock ticks (USER_HZ, 100 a second) since boot; undefined if it could not be read. */
  readonly startTicks: number | undefined;
  /** Effective user of the process at this moment; undefined if it could not be read. */
  readonly uid: number | undefined;
  readonly transport: Transport;
  readonly family: AddressFamily;
  /** The kernel's cookie of the socket (SO_COOKIE), by which a later `close` names it; undefined if it is not known. */
  readonly socket: number | undefined;
  /** The kernel refused it by a rule of ours: nothing was sent, or the socket does not listen. */
  readonly denied: boolean;
}

interface PeerEvent extends SocketEvent {
  /** Without a zone; IPv4 as four decimal numbers, IPv6 as RFC 5952 writes it. */
  readonly peerAddress: string;
  readonly peerPort: number;
  /** undefined: the socket is not bound yet, or the source does not read it. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
}

/** A process connects a socket. Emitted before the kernel sends anything, so the connection may yet fail, see `close`. */
export interface ConnectEvent extends PeerEvent {
  readonly kind: "connect";
}

/** The first datagram of an unconnected UDP socket to a peer. Further ones belong to the same session, see `close`. */
export interface SendEvent extends PeerEvent {
  readonly kind: "send";
}

/** A TCP socket listens, or a UDP socket was bound to a port. */
export interface ListenEvent extends SocketEvent {
  readonly kind: "listen";
  readonly localAddress: string;
  readonly localPort: number;
  /** Found by a snapshot of what listens already, at `time`. */
  readonly found: boolean;
}

/**
 * How a connection or session ended. `established`: it was established, and ended in order. `refused`, `timed_out`: it was
 * never established. `reset`: it was established, and broken off. `closed`: its process gave it up before there was an
 * answer, or it was a UDP session.
 */
export const closeResults = ["established", "refused", "timed_out", "reset", "closed"] as const;
export type CloseResult = (typeof closeResults)[number];

export interface CloseEvent {
  readonly kind: "close";
  readonly source: SensorSource;
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
  /** As in the event that opened it. */
  readonly socket: number;
  /** The process that opened it, which may have ended; undefined if the source does not know. */
  readonly pid: number | undefined;
  /** Of a UDP session, whose socket may have several; undefined for TCP and connected UDP. */
  readonly peerAddress: string | undefined;
  readonly peerPort: number | undefined;
  readonly result: CloseResult;
  /** Nanoseconds since the event that opened it. */
  readonly durationNs: number;
  /** Datagrams that were sent; undefined for TCP. */
  readonly count: number | undefined;
}

export interface LossEvent {
  readonly kind: "loss";
  readonly source: SensorSource;
  readonly time: number;
  /** A closed list: it is a metric's attribute. */
  readonly reason: LossReason;
  /** How many events the kernel made and this sensor did not get; undefined if nobody can tell. */
  readonly count: number | undefined;
}

/** `network`: only events of the network; what is known of processes is as complete as before. */
export const lossReasons = ["overrun", "restart", "switch", "network"] as const;
export type LossReason = (typeof lossReasons)[number];

/** Names this file, and not every file that handles events, if a kind has no type here. */
type ForEachKind<T extends { readonly [K in SensorKind]: { readonly kind: K } }> = T;

type EventTypes = ForEachKind<{
  fork: ForkEvent;
  exec: ExecEvent;
  user: UserEvent;
  exit: ExitEvent;
  connect: ConnectEvent;
  send: SendEvent;
  listen: ListenEvent;
  close: CloseEvent;
  loss: LossEvent;
}>;

/** Events of the network that policies decide about. */
export type NetworkEvent = EventOf<NetworkKind>;

export function isNetworkEvent(event: ProcessEvent): event is NetworkEvent {
  return isNetworkKind(event.kind);
}

export type EventOf<K extends SensorKind> = EventTypes[K & keyof EventTypes];
export type ProcessEvent = EventOf<SensorKind>;

/** What a room does with an event of each kind. */
export type EventHandlers = { readonly [K in SensorKind]: (event: EventOf<K>) => void };

/** Hands an event to the handler of its kind. */
export function dispatch<K extends SensorKind>(
  handlers: EventHandlers,
  event: EventOf<K> & { readonly kind: K },
): void {
  handlers[event.kind](event);
}

/** A signal to a process of treewarden's own that none of them has sent. */
export interface OwnSignal {
  /** The process that got it. */
  readonly pid: number;
  /** Number of the signal. */
  readonly signal: number;
  /** The kernel made it, as for a key of the terminal, for want of memory or for ptrace(2), and not kill(2) or the like. */
  readonly isKernels: boolean;
  /** The process that ran when it was made: the sender, the tracer or, where the kernel made it, anybody. */
  readonly senderPid: number;
  readonly senderUid: number;
}

export interface SignalSink {
  signal(signal: OwnSignal): void;
  /** `count` signals were lost, because they came faster than they could be read. */
  lost(count: number): void;
}

/** A process found by a look at /proc rather than by an event. */
export interface ScannedProcess {
  readonly pid: number;
  readonly kernelThread: boolean;
  readonly facts: ProcessFacts;
  /**
   * An exec of it waits, which was made before this look: the facts are of the program after it, and what the process ran
   * until then is not known.
   */
  readonly execWaits?: boolean;
}

/** What a scan also knows of the threads of a process. */
export interface ScannedGroup extends ScannedProcess {
  /** Threads of the group, a leader that has ended but is still listed included. */
  readonly threads: number;
  /** The leader has ended: nobody has waited for it yet, or other threads of the group live on. */
  readonly leaderEnded: boolean;
}

/**
 * Which execs wake the reader at once, instead of waiting for the next flush: none, all, or those that `Sensor.settle`
 * has not settled.
 */
export type WakeupPolicy = "none" | "all" | "unsettled";

/** A source of process events. The caller polls `fd` and drains when it is readable. */
export interface Sensor extends Disposable {
  readonly source: SensorSource;
  /** Readable (EPOLLIN) when events wait. */
  readonly fd: number;
  /**
   * Emits every waiting event in the kernel's order. If there are any it may wait up to 20 ms for more. Throws only if
   * the source has failed for good. A source that another process may go on with calls `onHandled` before that process
   * could no longer get the events that were emitted.
   */
  drain(sink: (event: ProcessEvent) => void, onHandled?: () => void): void;
  /**
   * It goes on where a process before this one has stopped reading: no event was lost in between. Absent where the source
   * begins anew.
   */
  readonly isContinued?: boolean;
  /** How far events have been emitted, for `since` of a later process; undefined where no process can go on. */
  readonly mark?: string | undefined;
  /**
   * A function that emits again what an earlier process has emitted since its `mark`, up to where this one goes on;
   * undefined if that is not there any more. To be called, as the function, before the first `drain`.
   */
  since?(mark: string): ((sink: (event: ProcessEvent) => void) => void) | undefined;
  /** Takes over what a scan found; to be called after the first scan and after each rescan. Absent where not needed. */
  reconcile?(scan: readonly ScannedGroup[]): void;
  /**
   * Takes note that the process of this pid has ended, whose exit was lost: no entry of it stays in the kernel, where it would
   * take the room of others. Absent where not needed.
   */
  exited?(pid: number): void;
  /** Sets which execs wake the reader at once; the default is `none`. Absent where the source cannot do that. */
  setWakeupPolicy?(policy: WakeupPolicy): void;
  /**
   * Under the policy `unsettled`, execs that equal this one in lineage, program, filename, arguments and user no longer
   * wake the reader at once, as long as the epoch of the event lasts.
   */
  settle?(event: ExecEvent): void;
  /** A live view is attached, which shows an exec within 100 ms. False: the source may flush less often. */
  live?: boolean;
  /** Whether the environment is read at each exec; the default is not. Absent where the source cannot do that. */
  readEnvironment?(on: boolean): void;
  /** Reports signals to the processes `pids` from now on, in the order of the events. Absent where the source cannot. */
  watchSignals?(pids: readonly number[], sink: SignalSink): void;
  /**
   * Whether somebody has kept the source from reporting, which reads like a host where nothing happens: in words, or
   * undefined. To be called every few seconds.
   */
  findTampering?(): string | undefined;
  /** Something that decisions depend on has changed: what was settled in another epoch is no longer settled. */
  setEpoch?(epoch: number): void;
  /**
   * Reports these events of the network from now on; undefined, the default: none, at no cost. Throws SensorUnavailable,
   * with a hint, where the host does not allow it. Absent where the source cannot do that.
   */
  watchNetwork?(watch: NetworkWatch | undefined): void;
  /**
   * Sets which signals the kernel carries on: `condemned` is there unless that is `none`. With `both`, stopped processes
   * stand still even if somebody continues them. Throws where the kernel refuses it. Absent where the source cannot do that.
   */
  carrySignals?(signals: CarriedSignals): void;
  readonly condemned?: CondemnedProcesses | undefined;
  /** Whether events are read every millisecond, because children of processes that were killed may still be running. */
  sweep?(on: boolean): void;
  /** Refuses what processes may not do on the network; undefined while it is not watched. */
  readonly denials?: NetworkDenials | undefined;
  /** Ends what closed processes execute; undefined where that was not asked for, or cannot be done. */
  readonly prevention?: Prevention | undefined;
  /** Why it was asked for and cannot be done; for a person. */
  readonly preventionProblem?: string | undefined;
}
