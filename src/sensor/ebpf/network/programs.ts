// Creates the maps of the network programs, and loads, attaches and detaches each program as the kinds that are watched
// need it. Everything ends with `dispose`, and with the process, as nothing is pinned.
import { statSync } from "node:fs";
import { assemble, type Code, type MapReference } from "../../../linux/bpf/assembler.ts";
import { attachToCgroup } from "../../../linux/bpf/cgroup-link.ts";
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, type BpfMap, type MapSpec } from "../../../linux/bpf/map.ts";
import { SharedPage } from "../../../linux/bpf/memory.ts";
import { type DescriptorsByName, digestOfObjects, KernelObjects } from "../../../linux/bpf/objects.ts";
import {
  type Attachment,
  attachByType,
  type BpfProgram,
  type CgroupHook,
  detachedPrograms,
} from "../../../linux/bpf/program.ts";
import { pinned, pinnedCopy } from "../../../linux/bpf/syscall.ts";
import { describeWords } from "../../../linux/bpf/type-description.ts";
import { closeDescriptor } from "../../../linux/descriptor.ts";
import { type NetworkKind, networkKinds } from "../../../vocabulary/event-kinds.ts";
import {
  filterMaps,
  PORT_BITMAP_BYTES,
  type TrieEntry,
  trieKey,
  trieValue,
} from "../../network/filter-maps.ts";
import type { NetworkWatch } from "../../network/watch.ts";
import { copyNames } from "../copies.ts";
import { mostProcesses } from "../process-limit.ts";
import type { NetworkMaps } from "./code.ts";
import { endDenialProgram, inheritDenialProgram } from "./deny.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
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
import { egressProgram } from "./source-route.ts";

/** UDP sessions at a time. Of more, those that were used longest ago are forgotten. */
export const SESSIONS = 8_192;
/** Three kinds with as many networks as the configuration may have, twice while they are replaced. */
const FILTERED_NETWORKS = 32_768;
const DENIED_NETWORKS = 65_536;

/** With this number of bytes waiting in the ring, a record of the network wakes the reader. */
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
  /**
   * Another run for the same event changes nothing, so it may have copies: where it is skipped, a child would not be denied
   * what its parent is.
   */
  readonly isRepeatable?: true;
  /** It is attached from the first denial on: it runs for each packet. */
  readonly isGuard?: true;
}

/** In the order in which they are attached: what reports an end comes before what it is the end of. */
const rows: readonly ProgramRow[] = [
  {
    name: "denial_end",
    place: { tracepoint: "exit" },
    code: endDenialProgram,
    kinds: networkKinds,
    isRepeatable: true,
  },
  {
    name: "denial_fork",
    place: { tracepoint: "fork" },
    code: inheritDenialProgram,
    kinds: networkKinds,
    isRepeatable: true,
  },
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
  {
    name: "egress",
    place: { hook: "egress" },
    code: egressProgram,
    kinds: ["connect", "send"],
    isGuard: true,
  },
  { name: "bind4", place: { hook: "bind4" }, code: bindProgram(4), kinds: ["listen"] },
  { name: "bind6", place: { hook: "bind6" }, code: bindProgram(6), kinds: ["listen"] },
  { name: "post_bind4", place: { hook: "postBind4" }, code: postBindProgram(4), kinds: ["listen"] },
  { name: "post_bind6", place: { hook: "postBind6" }, code: postBindProgram(6), kinds: ["listen"] },
];

/** The table with a row for each copy. */
function rowsFor(kernel: NetworkKernelLayout): readonly ProgramRow[] {
  return rows.flatMap((row) =>
    row.isRepeatable === true ? copyNames(row.name, kernel).map((name) => ({ ...row, name })) : [row],
  );
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
  readonly storage: BpfMap;
  readonly sessions: BpfMap;
  readonly deniedProcesses: BpfMap;
  readonly deniedNetworks: BpfMap;
  private readonly kernel: NetworkKernelLayout;
  private readonly rows: readonly ProgramRow[];
  private readonly maps: NetworkMaps;
  private readonly networks: BpfMap;
  private readonly ports: BpfMap;
  private readonly attachments = new Map<string, Attachment>();
  private readonly objects: KernelObjects;
  private readonly resources: DisposableStack;
  private guards = false;
  /** The keys in the trie of networks, by their bytes. */
  private filtered: ReadonlyMap<string, Uint8Array>;

  /**
   * `left`: the descriptors of what an earlier process has loaded with the same digest and ring, which belong to this from
   * now on. Throws a MissingObject if a map is not among them.
   */
  constructor(kernel: NetworkKernelLayout, ring: BpfMap, left?: DescriptorsByName) {
    this.kernel = kernel;
    this.rows = rowsFor(kernel);
    using stack = new DisposableStack();
    const objects = stack.use(new KernelObjects(left));
    const specs = mapSpecs();
    const map = (name: MapName): BpfMap => objects.map(specs[name]);
    const page = map("page");
    this.networks = map("networks");
    this.ports = map("ports");
    this.storage = socketStorageMap(objects, specs.storage);
    this.sessions = map("sessions");
    this.deniedProcesses = map("deniedProcesses");
    this.deniedNetworks = map("deniedNetworks");
    this.page = stack.use(new SharedPage(page));
    const { networks, ports, storage, sessions, deniedProcesses, deniedNetworks } = this;
    const maps = { page, networks, ports, storage, sessions, deniedProcesses, deniedNetworks };
    this.maps = networkMaps(ring, ring.spec.entries, maps);
    this.filtered = new Map((left === undefined ? [] : networks.keys()).map((key) => [key.join(), key]));
    this.objects = objects;
    this.resources = stack.move();
  }

  /** Whether the maps are those of an earlier process. */
  get isInherited(): boolean {
    return this.objects.isInherited;
  }

  /** What another process needs to go on with the programs. */
  get descriptors(): DescriptorsByName {
    return this.objects.descriptors;
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
      for (const row of this.rows) {
        const isDue = row.isGuard !== true || this.guards || this.objects.isLeft(row.name);
        const isNeeded = isDue && row.kinds.some((kind) => kinds.includes(kind));
        if (isNeeded && !this.attachments.has(row.name)) this.attach(row, cgroup);
        else if (!isNeeded) this.detach(row.name);
      }
      this.objects.closeUnused();
    } catch (error) {
      for (const { name } of this.rows) this.detach(name);
      throw error;
    }
  }

  /** Whether what is denied by calls is kept from being evaded by packets. */
  get isGuarded(): boolean {
    return this.guards;
  }

  /** Attaches what runs for each packet, as `watch` does. Throws if the kernel refuses it. */
  guard(cgroup: number): void {
    this.guards = true;
    for (const row of this.rows)
      if (row.isGuard === true && !this.attachments.has(row.name)) this.attach(row, cgroup);
  }

  /** The attached programs by their names in the table. */
  get attached(): ReadonlyMap<string, BpfProgram> {
    return new Map([...this.attachments].map(([name, { program }]) => [name, program]));
  }

  /** The names of the programs that the kernel does not run any more, although they are attached. */
  detached(): readonly string[] {
    return detachedPrograms(this.attachments.values());
  }

  [Symbol.dispose](): void {
    for (const { name } of this.rows) this.detach(name);
    this.resources.dispose();
  }

  private attach({ name, place, code }: ProgramRow, cgroup: number): void {
    const where = "hook" in place ? place : { tracepoint: this.kernel.tracepoints[place.tracepoint] };
    const program = this.objects.program(name, () => assemble(code(this.kernel, this.maps)), where);
    const link = this.objects.link(name, () =>
      "hook" in place ? attachHook(program, place.hook, cgroup) : attachByType(program),
    );
    this.attachments.set(name, { program, link });
  }

  private detach(name: string): void {
    this.objects.unload(name);
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

function socketStorageMap(objects: KernelObjects, spec: MapSpec): BpfMap {
  const types = describeWords(storageLayout.words);
  try {
    return objects.map({ ...spec, types });
  } finally {
    closeDescriptor(types.fd);
  }
}

/** A digest of what NetworkPrograms would load, see `digestOfObjects`. `ringBytes`: the size of the ring. */
export function digestOfNetwork(kernel: NetworkKernelLayout, ringBytes: number, build: string): string {
  const specs = mapSpecs();
  const order = Object.keys(specs);
  const reference = (name: MapName): MapReference => ({ fd: 1 + order.indexOf(name) });
  const maps = networkMaps({ fd: 0 }, ringBytes, {
    page: reference("page"),
    networks: reference("networks"),
    ports: reference("ports"),
    storage: reference("storage"),
    sessions: reference("sessions"),
    deniedProcesses: reference("deniedProcesses"),
    deniedNetworks: reference("deniedNetworks"),
  });
  const programs = rowsFor(kernel).map(({ code }) => assemble(code(kernel, maps)));
  return digestOfObjects(build, Object.values(specs), programs);
}

type MapName = keyof ReturnType<typeof mapSpecs>;

function mapSpecs() {
  const specs = {
    page: {
      type: "array",
      name: "network",
      keyBytes: 4,
      valueBytes: networkPage.size,
      entries: 1,
      flags: BPF_F_MMAPABLE,
    },
    networks: prefixTrie("filtered", trieKey.size, FILTERED_NETWORKS),
    ports: {
      type: "array",
      name: "ports",
      keyBytes: 4,
      valueBytes: PORT_BITMAP_BYTES * networkKinds.length,
      entries: 1,
    },
    storage: {
      type: "socketStorage",
      name: "sockets",
      keyBytes: 4,
      valueBytes: 4 * storageLayout.words,
      entries: 0,
      flags: BPF_F_NO_PREALLOC,
    },
    sessions: {
      type: "lruHash",
      name: "sessions",
      keyBytes: sessionKey.size,
      valueBytes: sessionValue.size,
      entries: SESSIONS,
    },
    deniedProcesses: {
      type: "hash",
      name: "denied",
      keyBytes: 8,
      valueBytes: deniedProcess.size,
      entries: mostProcesses(),
      flags: BPF_F_NO_PREALLOC,
    },
    deniedNetworks: prefixTrie("deny_nets", denyKey.size, DENIED_NETWORKS),
  } as const satisfies Readonly<Record<string, MapSpec>>;
  return specs;
}

function networkMaps(
  ring: MapReference,
  ringBytes: number,
  maps: { readonly [name in MapName]: MapReference },
): NetworkMaps {
  return {
    ...maps,
    ring,
    fillLevel: Math.min(ringBytes / 4, WAKE_BYTES),
    shareOfRing: Math.min(ringBytes / 2, SHARE_BYTES),
  };
}
