// What a process may not do on the network, as pure data: a sensor that can refuse it encodes it for the kernel.
import type { NetworkKind } from "../../vocabulary/event-kinds.ts";
import type { Network } from "../../vocabulary/ip-network.ts";
import type { ProcessKey } from "../../vocabulary/process-key.ts";
import type { UserRange } from "../../vocabulary/user-ranges.ts";
import type { Transport } from "../event.ts";
import type { IgnoredPorts } from "./filters.ts";

/**
 * Denied ports of a network, the peer's for `connect` and `send`, the local one for `listen`. Of several networks of one
 * kind and transport that hold an address, the longest prefix alone decides: `only` no ports excepts a network.
 */
export interface DeniedNetwork {
  readonly kind: NetworkKind;
  readonly transport: Transport;
  readonly network: Network;
  readonly ports: IgnoredPorts;
  /** The effective users to whom it is denied; absent: to all. */
  readonly users?: UserRange;
}

/** A process as it was judged. */
export interface DeniedProcess extends Pick<ProcessKey, "pid" | "startTicks"> {
  /** By which the kernel knows the program that was judged: `execId` of its last exec; undefined: not known. */
  readonly execId: number | undefined;
}

/** Numbers of sets of denied networks; 0: nothing is denied. */
export interface DenySets {
  /** Holds for the program that was judged, and for children that run no other. Ignored without an `execId`. */
  readonly set: number;
  /** Holds for every later program of the process and of its children, until they are judged. */
  readonly afterExec: number;
}

/** Refuses in the kernel what processes may not do: the call fails with EPERM, and the event is reported as denied. */
export interface NetworkDenials {
  /** Whether processes are still denied what an earlier process of the sensor has assigned, until `enforceEpoch`. */
  readonly isInherited: boolean;
  /** Why what is denied could be evaded, or more is refused than that; for a person. */
  readonly problem?: string | undefined;
  /** Finds `problem` as far as that can be done before the first denial. */
  check(): void;
  /**
   * Defines a set that was not defined before, or was removed. Throws a SystemCallError, and leaves the set undefined, if
   * the kernel has no room for it.
   */
  define(set: number, networks: readonly DeniedNetwork[]): void;
  /** Removes a set that no process points to any more. */
  remove(set: number): void;
  /**
   * Points a process to sets, in the epoch of `setEpoch`; false if the kernel has no room for it. Children inherit it. If
   * a later process has the pid by now, nothing changes: its entry is its own.
   */
  assign(process: DeniedProcess, sets: DenySets): boolean;
  /**
   * How often the kernel had no room to let a child inherit what its parent is denied. Where it runs copies of its programs,
   * each of them counts.
   */
  readonly full: number;
  /** How many entries of an earlier epoch `assign` has replaced so far. */
  readonly renewed: number;
  /**
   * Reports that the one who assigns lives: 15 s after the last time, or as `EbpfOptions.denialLimitMs` says, nothing is
   * denied any more.
   */
  beat(): void;
  /** Returns when every program that runs now in the kernel has ended. It may take some milliseconds. */
  awaitPrograms(): void;
  /** Entries that are made from now on, and inherited from them, belong to this epoch. */
  setEpoch(epoch: number): void;
  /**
   * Makes every entry of an earlier epoch void, and returns when no program in the kernel still acts on one: what was
   * assigned before is in force. It may take some milliseconds.
   */
  enforceEpoch(): void;
}
