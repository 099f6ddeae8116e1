// Creates the maps of the network programs, and loads, attaches and detaches each program as the kinds that are watched
// need it. Everything ends with `dispose`, and with the process, as nothing is pinned.
import { readFileSync, statSync } from "node:fs";
import { assemble, type Code } from "../../../linux/bpf/assembler.ts";
import { attachToCgroup } from "../../../linux/bpf/cgroup-link.ts";
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BpfMap, type MapSpec } from "../../../linux/bpf/map.ts";
import { SharedPage } from "../../../linux/bpf/memory.ts";
import {
  attachTracepoint,
  BpfProgram,
  type CgroupHook,
  isAttached,
  programInfo,
} from "../../../linux/bpf/program.ts";
import { pinned, pinnedCopy } from "../../../linux/bpf/syscall.ts";
import { describeWords } from "../../../linux/bpf/type-description.ts";
import { closeDescriptor } from "../../../linux/descriptor.ts";
import { type NetworkKind, networkKinds } from "../../event.ts";
import {
  filterMaps,
  PORT_BITMAP_BYTES,
  type TrieEntry,
  trieKey,
  trieValue,
} from "../../network/filter-maps.ts";
import type { NetworkWatch } from "../../network/watch.ts";
import type { NetworkMaps } from "./code.ts";
import { endDenialProgram, inheritDenialProgram } from "./deny.ts";
import { type NetworkKernelLayout, readNetworkKernelLayout } from "./kernel.ts";
import {
  deniedProcess,
  denyKey,
  listenFlags,
  networkPage,
  sessionKey,
  sessionValue,
  storageLayout,
  transportNumbers,
} from "./layout.ts";
import { bindProgram, postBindProgram } from "./listen.ts";
import { connectProgram, sendProgram } from "./peer.ts";
import { socketReleaseProgram, socketStateProgram } from "./socket-state.ts";

/** UDP sessions at a time. Of more, those that were used longest ago are forgotten. */
export const SESSIONS = 8_192;
/** Three kinds with as many networks as the configuration may have, twice while they are replaced. */
const FILTERED_NETWORKS = 32_768;
const DENIED_NETWORKS = 65_536;
/** More processes than that share one bucket with others: 16 bytes each. */
const MOST_DENIED_PROCESSES = 1 << 20;

/** With this number of bytes waiting in the ring, records of the network wake the reader. */
const WAKE_BYTES = 256 << 10;
/**
 * The most that may wait: some 10,000 records, which the reader needs 50 ms for. A flood of datagrams, which cost their
 * sender less than the reader, must not hold up the execs behind it for longer.
 */
const SHARE_BYTES = 1 << 20;

type Place =
  | { readonly tracepoint: keyof NetworkKernelLayout["tracepoints"] }
  | { readonly hook: CgroupHook };

interface ProgramRow {
  readonly name: string;
  readonly place: Place;
  readonly code: (kernel: NetworkKernelLayout, maps: NetworkMaps) => Code;
  /** It is attached while one of these is watched. */
  readonly kinds: readonly NetworkKind[];
}

/** In the order in which they are attached: what reports an end comes before what it is the end of. */
const rows: readonly ProgramRow[] = [
  { name: "denial_end", place: { tracepoint: "exit" }, code: endDenialProgram, kinds: networkKinds },
  { name: "denial_fork", place: { tracepoint: "fork" }, code: inheritDenialProgram, kinds: networkKinds },
  {
    name: "release",
    place: { hook: "socketRelease" },
    code: socketReleaseProgram,
    kinds: ["connect", "send"],
  },
  {
    name: "socket_state",
    place: { tracepoint: "socketState" },
    code: socketStateProgram,
    kinds: ["connect", "listen"],
  },
  { name: "connect4", place: { hook: "connect4" }, code: connectProgram(4), kinds: ["connect"] },
  { name: "connect6", place: { hook: "connect6" }, code: connectProgram(6), kinds: ["connect"] },
  { name: "sendmsg4", place: { hook: "sendmsg4" }, code: sendProgram(4), kinds: ["send"] },
  { name: "sendmsg6", place: { hook: "sendmsg6" }, code: sendProgram(6), kinds: ["send"] },
  { name: "bind4", place: { hook: "bind4" }, code: bindProgram, kinds: ["listen"] },
  { name: "bind6", place: { hook: "bind6" }, code: bindProgram, kinds: ["listen"] },
  { name: "post_bind4", place: { hook: "postBind4" }, code: postBindProgram(4), kinds: ["listen"] },
  { name: "post_bind6", place: { hook: "postBind6" }, code: postBindProgram(6), kinds: ["listen"] },
];

interface Attachment extends Disposable {
  readonly program: BpfProgram;
  readonly link: number;
}

/** A program that the kernel did not attach to a hook. */
export class HookRefused extends Error {
  override readonly name = "HookRefused";
  readonly hook: CgroupHook;

  constructor(hook: CgroupHook, cause: unknown) {
    super(`hook ${hook}`, { cause });
    this.hook = hook;
  }
}

export class NetworkPrograms implements Disposable {
  readonly page: SharedPage;
  readonly sessions: BpfMap;
  readonly deniedProcesses: BpfMap;
  readonly deniedNetworks: BpfMap;
  private readonly kernel: NetworkKernelLayout;
  private readonly maps: NetworkMaps;
  private readonly networks: BpfMap;
  private readonly ports: BpfMap;
  private readonly attachments = new Map<string, Attachment>();
  private readonly resources: DisposableStack;
  /** The keys in the trie of networks, by their bytes. */
  private filtered: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(ring: BpfMap) {
    this.kernel = readNetworkKernelLayout();
    using stack = new DisposableStack();
    const map = (spec: MapSpec) => stack.use(new BpfMap({ ...spec, name: `tw_${spec.name}` }));
    const page = map({
      type: "array",
      name: "network",
      keyBytes: 4,
      valueBytes: networkPage.size,
      entries: 1,
      flags: BPF_F_MMAPABLE,
    });
    this.networks = map(prefixTrie("filtered", trieKey.size, FILTERED_NETWORKS));
    this.ports = map({
      type: "array",
      name: "ports",
      keyBytes: 4,
      valueBytes: PORT_BITMAP_BYTES * networkKinds.length,
      entries: 1,
    });
    const storage = stack.use(socketStorageMap());
    this.sessions = map({
      type: "lruHash",
      name: "sessions",
      keyBytes: sessionKey.size,
      valueBytes: sessionValue.size,
      entries: SESSIONS,
    });
    this.deniedProcesses = map({
      type: "hash",
      name: "denied",
      keyBytes: 8,
      valueBytes: deniedProcess.size,
      entries: mostProcesses(),
      flags: BPF_F_NO_PREALLOC,
    });
    this.deniedNetworks = map(prefixTrie("deny_nets", denyKey.size, DENIED_NETWORKS));
    this.page = stack.use(new SharedPage(page));
    this.maps = {
      ring,
      fillLevel: Math.min(ring.spec.entries / 4, WAKE_BYTES),
      shareOfRing: Math.min(ring.spec.entries / 2, SHARE_BYTES),
      page,
      networks: this.networks,
      ports: this.ports,
      storage,
      sessions: this.sessions,
      deniedProcesses: this.deniedProcesses,
      deniedNetworks: this.deniedNetworks,
    };
    this.resources = stack.move();
  }

  /**
   * Watches these kinds with these filters from now on, for all processes of the control group whose directory is open as
   * `cgroup`. If the kernel refuses it, throws and leaves nothing attached.
   */
  watch({ kinds, filters }: NetworkWatch, cgroup: number): void {
    const { networks, ports } = filterMaps(filters);
    this.replaceNetworks(networks);
    const bitmaps = pinned(this.ports.spec.valueBytes);
    networkKinds.forEach((kind, i) => {
      bitmaps.set(ports[kind], i * PORT_BITMAP_BYTES);
    });
    this.ports.set(pinned(4), bitmaps);
    const { listen } = filters;
    const { words } = this.page;
    words[networkPage.hostNamespace >>> 2] = statSync("/proc/self/ns/net").ino;
    words[networkPage.listen >>> 2] =
      (listen.ignoreRandomPorts ? listenFlags.ignoreRandomPorts : 0) |
      (listen.hostNamespaceOnly ? listenFlags.hostNamespaceOnly : 0);
    networkKinds.forEach((kind, i) => {
      const transports = kinds.includes(kind) ? filters[kind].transports : [];
      words[(networkPage.transports >>> 2) + i] = transports.reduce(
        (bits, transport) => bits | (1 << transportNumbers[transport]),
        0,
      );
    });
    try {
      for (const row of rows) {
        const isNeeded = row.kinds.some((kind) => kinds.includes(kind));
        if (isNeeded && !this.attachments.has(row.name)) this.attach(row, cgroup);
        else if (!isNeeded) this.detach(row.name);
      }
    } catch (error) {
      for (const { name } of rows) this.detach(name);
      throw error;
    }
  }

  /** The attached programs by their names in the table. */
  get attached(): ReadonlyMap<string, BpfProgram> {
    return new Map([...this.attachments].map(([name, { program }]) => [name, program]));
  }

  /** Number of runs that the kernel skipped because they interrupted the same program on the same CPU. */
  get missed(): number {
    let missed = 0;
    for (const { program } of this.attachments.values()) missed += programInfo(program).missed;
    return missed;
  }

  /** The names of the programs that the kernel does not run any more, although they are attached. */
  detached(): readonly string[] {
    return [...this.attachments.values()]
      .filter(({ link, program }) => !isAttached(link, program))
      .map(({ program }) => program.name);
  }

  [Symbol.dispose](): void {
    for (const { name } of rows) this.detach(name);
    this.resources.dispose();
  }

  private attach({ name, place, code }: ProgramRow, cgroup: number): void {
    using stack = new DisposableStack();
    const where = "hook" in place ? place : { tracepoint: this.kernel.tracepoints[place.tracepoint] };
    const program = stack.use(new BpfProgram(`tw_${name}`, assemble(code(this.kernel, this.maps)), where));
    const link = "hook" in place ? attachHook(program, place.hook, cgroup) : attachTracepoint(program);
    stack.defer(() => closeDescriptor(link));
    const owned = stack.move();
    this.attachments.set(name, { program, link, [Symbol.dispose]: () => owned.dispose() });
  }

  private detach(name: string): void {
    this.attachments.get(name)?.[Symbol.dispose]();
    this.attachments.delete(name);
  }

  /** Puts the new entries into the trie before it takes the old ones out. */
  private replaceNetworks(entries: readonly TrieEntry[]): void {
    const wanted = new Map<string, Uint8Array>();
    for (const entry of entries) {
      const key = pinnedCopy(entry.key);
      this.networks.set(key, pinnedCopy(entry.value));
      wanted.set(key.join(), key);
    }
    for (const [name, key] of this.filtered) if (!wanted.has(name)) this.networks.delete(key);
    this.filtered = wanted;
  }
}

function attachHook(program: BpfProgram, hook: CgroupHook, cgroup: number): number {
  try {
    return attachToCgroup(program, hook, cgroup);
  } catch (error) {
    throw new HookRefused(hook, error);
  }
}

function prefixTrie(name: string, keyBytes: number, entries: number): MapSpec {
  return {
    type: "prefixTrie",
    name,
    keyBytes,
    valueBytes: trieValue.size,
    entries,
    flags: BPF_F_NO_PREALLOC,
  };
}

function socketStorageMap(): BpfMap {
  const types = describeWords(storageLayout.words);
  try {
    return new BpfMap({
      type: "socketStorage",
      name: "tw_sockets",
      keyBytes: 4,
      valueBytes: 4 * storageLayout.words,
      entries: 0,
      flags: BPF_F_NO_PREALLOC,
      types,
    });
  } finally {
    closeDescriptor(types.fd);
  }
}

/**
 * As many processes as the kernel allows, so that nobody can fill the map. Its elements are allocated when they are
 * needed.
 */
function mostProcesses(): number {
  const threads = Number(readFileSync("/proc/sys/kernel/threads-max", "latin1"));
  return Math.min(threads, MOST_DENIED_PROCESSES);
}
