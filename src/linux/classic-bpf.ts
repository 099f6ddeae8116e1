// Programs of classic BPF (linux/filter.h), which filter what a socket receives and which system calls are allowed.
import { ptr } from "bun:ffi";

/** struct sock_filter: code, jump if true, jump if false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

/** struct sock_fprog: u16 length, and the address of the instructions at 8. Both buffers must live until the call returns. */
export interface EncodedFilter {
  readonly header: Uint8Array<ArrayBuffer>;
  readonly instructions: Uint8Array<ArrayBuffer>;
}

export function encodeFilter(program: readonly FilterInstruction[]): EncodedFilter {
  const instructions = new Uint8Array(new ArrayBuffer(program.length * 8));
  const view = new DataView(instructions.buffer);
  for (const [i, [code, jt, jf, k]] of program.entries()) {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  }
  const header = new Uint8Array(new ArrayBuffer(16));
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, program.length, true);
  headerView.setBigUint64(8, BigInt(ptr(instructions)), true);
  return { header, instructions };
}
