// BPF maps: creation, and access to their elements.
import { closeDescriptor } from "../descriptor.ts";
import { attribute, callBpf, mustCallBpf, pinned } from "./syscall.ts";

/** enum bpf_map_type */
export const mapTypes = {
  hash: 1,
  array: 2,
  programArray: 3,
  lruHash: 9,
  prefixTrie: 11,
  arrayOfMaps: 12,
  socketStorage: 24,
  ringBuffer: 27,
} as const;
export type MapType = keyof typeof mapTypes;

/** How an update treats an element that is there, or is not: BPF_ANY, BPF_NOEXIST and BPF_EXIST. */
const updateFlags = { any: 0, ifAbsent: 1, ifPresent: 2 } as const;
export type UpdateMode = keyof typeof updateFlags;

/** map_flags: elements are allocated when they are inserted, not beforehand. */
export const BPF_F_NO_PREALLOC = 1;
/** map_flags: the array's values can be mapped into this process (5.5). */
export const BPF_F_MMAPABLE = 0x400;

export interface MapSpec {
  readonly type: MapType;
  /** At most 15 letters, digits and `_`, for tools that list maps. */
  readonly name: string;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Number of elements; for a ring buffer its size in bytes, a power of two and a multiple of the page size. */
  readonly entries: number;
  readonly flags?: number;
  /** Descriptions of key and value, which a socket storage must have; see type-description.ts. */
  readonly types?: MapValueTypes;
  /** Of a map of maps: the descriptor of one with the shape that all of them have. */
  readonly inner?: number;
}

export interface MapValueTypes {
  /** Descriptor of loaded BTF. */
  readonly fd: number;
  /** Ids of the types in it. */
  readonly key: number;
  readonly value: number;
}

/** A map, closed with `using`. The kernel keeps it while a program or a mapping uses it. */
export class BpfMap implements Disposable {
  readonly fd: number;
  readonly spec: MapSpec;

  /** `existing`: the descriptor of a map that was created with `spec` and belongs to this from now on. */
  constructor(spec: MapSpec, existing?: number) {
    this.spec = spec;
    if (existing !== undefined) {
      this.fd = existing;
      return;
    }
    attribute.clear();
    attribute.u32(0, mapTypes[spec.type]);
    attribute.u32(4, spec.keyBytes);
    attribute.u32(8, spec.valueBytes);
    attribute.u32(12, spec.entries);
    attribute.u32(16, spec.flags ?? 0);
    attribute.u32(20, spec.inner ?? 0);
    attribute.name(28, spec.name);
    if (spec.types !== undefined) {
      attribute.u32(48, spec.types.fd);
      attribute.u32(52, spec.types.key);
      attribute.u32(56, spec.types.value);
    }
    this.fd = mustCallBpf("MAP_CREATE", spec.name);
  }

  /** Copies the value of `key` into `value`; false if there is none. Both buffers must be made by `pinned`. */
  lookup(key: Uint8Array, value: Uint8Array): boolean {
    this.element(key, value);
    return callBpf("MAP_LOOKUP_ELEM") >= 0;
  }

  /**
   * Sets `key` to `value`; false if the map does not take it (full, busy, or no longer permitted), or if the key is there
   * although the mode is `ifAbsent`, or is not although it is `ifPresent`.
   */
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode = "any"): boolean {
    this.element(key, value);
    attribute.u32(24, updateFlags[mode]);
    return callBpf("MAP_UPDATE_ELEM") >= 0;
  }

  /** As `update`; throws a SystemCallError if the map does not take it. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.element(key, value);
    mustCallBpf("MAP_UPDATE_ELEM", this.spec.name);
  }

  /** Removes `key`; false if it was not there. */
  delete(key: Uint8Array): boolean {
    this.element(key, null);
    return callBpf("MAP_DELETE_ELEM") >= 0;
  }

  /** All keys of a hash or trie at this time; those that come or go meanwhile may be among them or not. */
  keys(): readonly Uint8Array<ArrayBuffer>[] {
    const keys: Uint8Array<ArrayBuffer>[] = [];
    for (let last: Uint8Array | undefined; keys.length <= this.spec.entries; ) {
      const key = pinned(this.spec.keyBytes);
      attribute.clear();
      attribute.u32(0, this.fd);
      if (last !== undefined) attribute.pointer(8, last);
      attribute.pointer(16, key);
      if (callBpf("MAP_GET_NEXT_KEY") < 0) break;
      keys.push(key);
      last = key;
    }
    return keys;
  }

  /** Removes all elements of a hash. */
  clear(): void {
    const key = pinned(this.spec.keyBytes);
    for (;;) {
      // Without a key, the kernel gives the first.
      attribute.clear();
      attribute.u32(0, this.fd);
      attribute.pointer(16, key);
      if (callBpf("MAP_GET_NEXT_KEY") < 0) return;
      this.delete(key);
    }
  }

  /** From now on only programs can change the map, no system call of any process (5.2). */
  freeze(): void {
    attribute.clear();
    attribute.u32(0, this.fd);
    mustCallBpf("MAP_FREEZE", this.spec.name);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }

  private element(key: Uint8Array, value: Uint8Array | null): void {
    attribute.clear();
    attribute.u32(0, this.fd);
    attribute.pointer(8, key);
    if (value !== null) attribute.pointer(16, value);
  }
}

/**
 * Returns when every program that runs now in the kernel has ended, so that none still acts on an element that was
 * replaced: what the kernel guarantees after an update of a map of maps (kernel/bpf/syscall.c, maybe_wait_bpf_programs).
 */
export function waitForPrograms(): void {
  using inner = new BpfMap({ type: "array", name: "tw_inner", keyBytes: 4, valueBytes: 4, entries: 1 });
  using outer = new BpfMap({
    type: "arrayOfMaps",
    name: "tw_outer",
    keyBytes: 4,
    valueBytes: 4,
    entries: 1,
    inner: inner.fd,
  });
  const value = pinned(4);
  new DataView(value.buffer).setUint32(0, inner.fd, true);
  outer.set(pinned(4), value);
}
