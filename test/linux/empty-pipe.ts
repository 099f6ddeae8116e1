// A pipe in which nothing is: reading it waits.
import { bindLibc, checked } from "../../src/linux/libc.ts";

const libc = bindLibc({ pipe: { args: ["ptr"], returns: "i32" } });

export function emptyPipe(): { readonly reader: number; readonly writer: number } {
  const ends = new Int32Array(new ArrayBuffer(8));
  checked("pipe", libc.pipe(ends));
  return { reader: ends[0] ?? -1, writer: ends[1] ?? -1 };
}
