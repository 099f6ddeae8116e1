// Finds what listens: the sockets in /proc/PID/net of each network namespace, and the processes that hold them. Through
// /proc rather than by a netlink dump (sock_diag(7)), because that would need the right to enter foreign namespaces. It is
// made in steps of some hundred microseconds, between which the warden judges events.
import { closeSync, openSync, readlinkSync, readSync } from "node:fs";
import { monotonicNow } from "../../linux/clock.ts";
import { DescriptorLinks } from "../../linux/proc/descriptor-links.ts";
import type { ParseFailure } from "../../linux/proc/failure.ts";
import { ProcessFolder, procEntry } from "../../linux/proc/read.ts";
import {
  parseSocketLine,
  parseSocketLink,
  socketTableStates,
  type TableSocket,
} from "../../linux/proc/socket-table.ts";
import { parseStat } from "../../linux/proc/stat.ts";
import { parseStatus } from "../../linux/proc/status.ts";
import { formatAddress } from "../../vocabulary/ip-address.ts";
import { IPV4_BYTES, mappedIpv4 } from "../../vocabulary/ip-network.ts";
import { isInRanges, type PortRange } from "../../vocabulary/port-ranges.ts";
import type { Steps } from "../../vocabulary/steps.ts";
import type { ListenEvent, Transport } from "../event.ts";
import { listPids } from "../procfs/scan.ts";
import { isFiltered, type NetworkFilters } from "./filters.ts";

export interface ListenerScanInputs {
  readonly source: ListenEvent["source"];
  readonly filters: NetworkFilters;
  /** As `FactsReader` has it: a process that keeps others waiting is left out. */
  readonly mayFollowLinks: (pid: number) => boolean;
}

export interface FoundListeners {
  /** Each socket once. */
  readonly events: readonly ListenEvent[];
  /** There were more sockets than are looked at, so that some are missing. */
  readonly isTruncated: boolean;
}

/** A user can open a million sockets; what is beyond this many is not worth the time of the scan. */
const MOST_SOCKETS = 65_536;

/** A read returns whole lines, at least one: of TCP one (149 bytes and more), so that none is read beyond the listeners. */
const LINE_BYTES = 128;
const CHUNK_BYTES = 4_096;
/** /proc/PID/status has some 1,500 bytes, and the users stand in the first 300. */
const STATUS_BYTES = 2_048;

interface Listener {
  readonly transport: Transport;
  readonly socket: TableSocket;
  /** The process that is most likely the one that called listen(2): of those that hold it, the one that started first. */
  holder: Holder | undefined;
}

interface Holder {
  readonly pid: number;
  readonly startTicks: number;
  /** Effective user; undefined if it could not be read. */
  readonly uid: number | undefined;
}

/**
 * Everything that listens and is not filtered, at one moment of the scan. UDP sockets with a port that the kernel gives
 * out by itself (`ip_local_port_range`) are left out: almost all of them are clients that never called bind(2).
 */
export function* listenerScan(inputs: ListenerScanInputs): Steps<FoundListeners> {
  const pids = listPids();
  const listeners = new Map<number, Listener>();
  const namespaces = new Set<string>();
  for (const pid of pids) {
    const namespace = inputs.mayFollowLinks(pid) ? networkNamespace(pid) : undefined;
    if (namespace !== undefined && !namespaces.has(namespace) && isWatched(namespace, inputs.filters)) {
      namespaces.add(namespace);
      yield* readTables(pid, listeners);
    }
    yield;
  }
  using folder = new ProcessFolder(STATUS_BYTES);
  for (const pid of listeners.size === 0 ? [] : pids)
    if (inputs.mayFollowLinks(pid)) yield* findHeld(pid, listeners, folder);
  const events = [...listeners.values()].flatMap((each) => listenEvent(each, inputs.source));
  return {
    events: events.filter((event) => !isFiltered(inputs.filters, event)),
    isTruncated: listeners.size >= MOST_SOCKETS,
  };
}

function isWatched(namespace: string, { listen }: NetworkFilters): boolean {
  return !listen.hostNamespaceOnly || namespace === networkNamespace("self");
}

/** The text that names it, `net:[4026531840]`; undefined if the process has ended. */
function networkNamespace(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function* readTables(pid: number, listeners: Map<number, Listener>): Steps<void> {
  const random = randomPorts();
  for (const name of ["tcp", "tcp6", "udp", "udp6"]) {
    const transport = name.startsWith("tcp") ? "tcp" : "udp";
    for (const sockets of tableChunks(`/proc/${pid}/net/${name}`, transport)) {
      for (const socket of sockets) {
        if (listeners.size >= MOST_SOCKETS) return;
        const isClient = transport === "udp" && (random === undefined || isInRanges([random], socket.port));
        if (!isClient && socket.inode !== 0)
          listeners.set(socket.inode, { transport, socket, holder: undefined });
      }
      yield;
    }
  }
}

/** The listening sockets of a table, a part of them at a time. Of TCP they come first, in front of all connections. */
function* tableChunks(path: string, transport: Transport): Generator<readonly TableSocket[]> {
  const wanted = transport === "tcp" ? socketTableStates.listen : socketTableStates.close;
  const buffer = new Uint8Array(CHUNK_BYTES);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    // The process has ended, or the kernel has no IPv6.
    return;
  }
  try {
    let rest = "";
    for (;;) {
      const got = readSync(fd, buffer, 0, transport === "tcp" ? LINE_BYTES : CHUNK_BYTES, null);
      if (got === 0) return;
      const lines = (rest + Buffer.from(buffer.buffer, 0, got).toString("latin1")).split("\n");
      rest = lines.pop() ?? "";
      const sockets = lines.flatMap((line) => parseSocketLine(line) ?? []);
      yield sockets.filter(({ state }) => state === wanted);
      if (transport === "tcp" && sockets.some(({ state }) => state !== wanted)) return;
    }
  } catch {
    // The namespace ended while it was read.
  } finally {
    closeSync(fd);
  }
}

/** The ports that the kernel gives to sockets that ask for none, in the warden's namespace. */
function randomPorts(): PortRange | undefined {
  const [first, last] = (readSmallFile("/proc/sys/net/ipv4/ip_local_port_range") ?? "").trim().split(/\s+/);
  return first === undefined || last === undefined ? undefined : { first: Number(first), last: Number(last) };
}

function readSmallFile(path: string): string | undefined {
  const buffer = new Uint8Array(LINE_BYTES);
  try {
    const fd = openSync(path, "r");
    try {
      return Buffer.from(buffer.buffer, 0, readSync(fd, buffer)).toString("latin1");
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

/** Notes which of the sockets `pid` holds. */
function* findHeld(
  pid: number,
  listeners: ReadonlyMap<number, Listener>,
  folder: ProcessFolder,
): Steps<void> {
  using descriptors = new DescriptorLinks(pid);
  let process: Holder | undefined;
  for (let links = descriptors.next(); links !== undefined; links = descriptors.next()) {
    for (const link of links) {
      const listener = listeners.get(parseSocketLink(link) ?? -1);
      if (listener === undefined) continue;
      process ??= readHolder(pid, folder);
      if (process === undefined) return;
      if (listener.holder === undefined || isEarlier(process, listener.holder)) listener.holder = process;
    }
    yield;
  }
  yield;
}

function isEarlier(a: Holder, b: Holder): boolean {
  return a.startTicks < b.startTicks || (a.startTicks === b.startTicks && a.pid < b.pid);
}

/** undefined if the process has ended. */
function readHolder(pid: number, folder: ProcessFolder): Holder | undefined {
  if (folder.open(pid) < 0) return undefined;
  const stat = parsed(folder.read(procEntry.stat), (length) => parseStat(folder.data, length));
  const status = parsed(folder.read(procEntry.status), (length) => parseStatus(folder.data, length));
  folder.close();
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks, uid: status?.uid };
}

/** What `parse` makes of the bytes; undefined if there are none or they are malformed. */
function parsed<T extends object>(
  length: number,
  parse: (length: number) => T | ParseFailure,
): T | undefined {
  const result = length > 0 ? parse(length) : undefined;
  return result === undefined || "failure" in result ? undefined : result;
}

function listenEvent({ transport, socket, holder }: Listener, source: ListenEvent["source"]): ListenEvent[] {
  if (holder === undefined) return [];
  const address = mappedIpv4(socket.address) ?? socket.address;
  return [
    {
      kind: "listen",
      source,
      time: monotonicNow(),
      pid: holder.pid,
      startTicks: holder.startTicks,
      uid: holder.uid,
      transport,
      family: address.length === IPV4_BYTES ? "ipv4" : "ipv6",
      socket: undefined,
      denied: false,
      localAddress: formatAddress(address),
      localPort: socket.port,
      found: true,
    },
  ];
}
