// The maps of what is prevented. They are created before the programs that use them.
import type { MapReference } from "../../../linux/bpf/assembler.ts";
import { BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, type BpfMap, type MapSpec } from "../../../linux/bpf/map.ts";
import { SharedPage } from "../../../linux/bpf/memory.ts";
import type { KernelObjects } from "../../../linux/bpf/objects.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import {
  type CarrierNames,
  CLOSED_PROCESSES,
  ENDED_PER_MINUTE,
  type PreventionOptions,
  WITHOUT_WARDEN_MS,
} from "../../prevention/options.ts";
import type { PreventionMaps } from "./entries.ts";
import {
  allowanceLayout,
  CARRIER_NAME_BYTES,
  carrierKey,
  closedKey,
  closedProcess,
  closedSetLayout,
  exceptionKey,
  exceptionValue,
  NO_USER,
  preventionPage,
} from "./layout.ts";

/** A policy has a few dozen sets, and while it is replaced those of the old one exist as well. */
const SETS = 4_096;
const EXCEPTIONS = 65_536;
/**
 * How many files that were ended are remembered: with the default limit of a hundred new ones a minute, those of the last
 * half hour.
 */
const ENDED = 4_096;
/** Users and containers that have an allowance of their own at a time; further ones share one. */
const PAYERS = 1_024;
/** The most that an allowance may owe, see `allowanceLayout`: a minute, in ns. */
export const ALLOWANCE_NS = 60_000_000_000;

/** The types and sizes of all maps of prevention. */
export function closedSetSpecs({ carriers, processes = CLOSED_PROCESSES }: PreventionOptions) {
  const hash = (name: string, keyBytes: number, valueBytes: number, entries: number, flags = 0): MapSpec => ({
    type: "hash",
    name,
    keyBytes,
    valueBytes,
    entries,
    flags,
  });
  return {
    // Allocated beforehand, as programs on tracepoints may not allocate.
    closed: hash("closed", closedKey.size, closedProcess.size, processes),
    sets: hash("closed_sets", 4, closedSetLayout.size, SETS, BPF_F_NO_PREALLOC),
    exceptions: hash("exceptions", exceptionKey.size, exceptionValue.size, EXCEPTIONS, BPF_F_NO_PREALLOC),
    carriers: {
      type: "prefixTrie",
      name: "carriers",
      keyBytes: carrierKey.size,
      valueBytes: 4,
      entries: Math.max(1, carrierKeys(carriers).length),
      flags: BPF_F_NO_PREALLOC,
    },
    ended: { type: "lruHash", name: "ended", keyBytes: exceptionKey.size, valueBytes: 8, entries: ENDED },
    allowances: {
      type: "array",
      name: "allowances",
      keyBytes: 4,
      valueBytes: allowanceLayout.size,
      entries: PAYERS,
    },
    page: {
      type: "array",
      name: "prevention",
      keyBytes: 4,
      valueBytes: preventionPage.size,
      entries: 1,
      flags: BPF_F_MMAPABLE,
    },
  } as const satisfies Readonly<Record<keyof PreventionMaps, MapSpec>>;
}

/**
 * References to maps that were not created, numbered from `first` on: with them the programs can be assembled for a digest
 * that does not depend on descriptors.
 */
export function closedSetReferences(first: number): PreventionMaps {
  const at = (index: number): MapReference => ({ fd: first + index });
  return {
    closed: at(0),
    sets: at(1),
    exceptions: at(2),
    carriers: at(3),
    ended: at(4),
    allowances: at(5),
    page: at(6),
  };
}

export class ClosedSetMaps implements PreventionMaps, Disposable {
  readonly closed: BpfMap;
  readonly sets: BpfMap;
  readonly exceptions: BpfMap;
  readonly carriers: BpfMap;
  readonly ended: BpfMap;
  readonly allowances: BpfMap;
  readonly page: BpfMap;
  readonly shared: SharedPage;

  /** The maps belong to `objects`. The caller disposes of this object, which unmaps the shared page. */
  constructor(objects: KernelObjects, options: PreventionOptions) {
    const { carriers, processes = CLOSED_PROCESSES, limitMs = WITHOUT_WARDEN_MS } = options;
    const { maxPerMinute = ENDED_PER_MINUTE } = options;
    const specs = closedSetSpecs(options);
    this.closed = objects.map(specs.closed);
    this.sets = objects.map(specs.sets);
    this.exceptions = objects.map(specs.exceptions);
    this.carriers = objects.map(specs.carriers);
    this.ended = objects.map(specs.ended);
    this.allowances = objects.map(specs.allowances);
    this.page = objects.map(specs.page);
    if (!objects.isInherited) {
      for (const name of carrierKeys(carriers)) this.carriers.set(name, pinned(4));
      this.carriers.freeze();
    }
    this.shared = new SharedPage(this.page);
    this.shared.counters[preventionPage.limit >>> 3] = BigInt(limitMs) * 1_000_000n;
    this.shared.counters[preventionPage.share >>> 3] = BigInt(processes >>> 1);
    this.shared.counters[preventionPage.interval >>> 3] = intervalOf(maxPerMinute);
    this.shared.words[preventionPage.rescueUser >>> 2] = options.rescueUid ?? NO_USER;
    const ofPayer = Math.max(1, Math.floor(maxPerMinute / 2));
    this.shared.counters[preventionPage.intervalOfPayer >>> 3] = intervalOf(ofPayer);
  }

  [Symbol.dispose](): void {
    this.shared[Symbol.dispose]();
  }
}

/** What each program costs, in ns, if `perMinute` of them are allowed in a minute. */
function intervalOf(perMinute: number): bigint {
  return BigInt(Math.ceil(ALLOWANCE_NS / perMinute));
}

/** The keys of the trie of names. Names that are longer than what the programs read are left out: they would never match. */
export function carrierKeys({ exact, prefixes }: CarrierNames): readonly Uint8Array[] {
  const fits = (name: string): boolean => name.length < CARRIER_NAME_BYTES;
  return [
    ...[...new Set(exact)].filter(fits).map((name) => carrierKeyOf(name, name.length + 1)),
    ...[...new Set(prefixes)].filter(fits).map((name) => carrierKeyOf(name, name.length)),
  ];
}

function carrierKeyOf(name: string, bytes: number): Uint8Array {
  const key = pinned(carrierKey.size);
  new DataView(key.buffer).setUint32(carrierKey.prefixLength, 8 * bytes, true);
  new TextEncoder().encodeInto(name, key.subarray(carrierKey.name));
  return key;
}
