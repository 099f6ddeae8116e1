// BTF of our own: a map with one value for each socket must be created with a description of its key and value.
// The format is in the kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
import type { MapValueTypes } from "./map.ts";
import { attribute, mustCallBpf, pinned } from "./syscall.ts";

const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
const INT = 1 << 24;
const ARRAY = 3 << 24;
const STRINGS = "\0u32\0";

/**
 * Loads BTF for a map whose key is a number of 32 bits and whose value is `words` of them. The caller closes the
 * descriptor once the map is created.
 */
export function describeWords(words: number): MapValueTypes {
  const types = [
    // 1: unsigned int; the name at offset 1 of the strings, the size in bytes, the size in bits.
    ...[1, INT, 4, 32],
    // 2: an array without a name of type 1, indexed by type 1.
    ...[0, ARRAY, 0, 1, 1, words],
  ];
  const typeBytes = types.length * 4;
  const blob = pinned(HEADER_BYTES + typeBytes + STRINGS.length);
  const view = new DataView(blob.buffer);
  view.setUint16(0, MAGIC, true);
  view.setUint8(2, 1); // version
  view.setUint32(4, HEADER_BYTES, true);
  view.setUint32(12, typeBytes, true);
  view.setUint32(16, typeBytes, true);
  view.setUint32(20, STRINGS.length, true);
  types.forEach((word, index) => {
    view.setUint32(HEADER_BYTES + index * 4, word, true);
  });
  new TextEncoder().encodeInto(STRINGS, blob.subarray(HEADER_BYTES + typeBytes));

  attribute.clear();
  attribute.pointer(0, blob);
  attribute.u32(16, blob.length);
  return { fd: mustCallBpf("BTF_LOAD"), key: 1, value: 2 };
}
