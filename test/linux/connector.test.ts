import { expect, test } from "bun:test";
import {
  eventFilter,
  eventTime,
  FRAME_BYTES,
  frame,
  isProcessEvent,
  operation,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
} from "../../src/linux/connector.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(/[\s|]/g, ""));

// The exit of process 0x1f4b with code 3, put together by hand after linux/cn_proc.h.
const exit = hex(`
  4c000000 0300 0000 07000000 00000000 | 01000000 01000000 07000000 00000000 2800 0000 |
  00000080 01000000 89674523 01000000 | 4b1f0000 4b1f0000 00030000 11000000 01000000 01000000`);

test("fields are read at the offsets of linux/cn_proc.h", () => {
  const view = new DataView(exit.buffer);
  expect(exit.length).toBe(FRAME_BYTES);
  expect(isProcessEvent(view, 0, exit.length)).toBe(true);
  expect(view.getUint32(frame.what, true)).toBe(PROC_EVENT_EXIT);
  expect(eventTime(view, 0)).toBe(0x1_2345_6789);
  expect(view.getUint32(frame.tgid, true)).toBe(0x1f4b);
  expect(view.getUint32(frame.status, true)).toBe(3 << 8);
});

test("a frame that is short, of another type or of another connector is not accepted", () => {
  expect(isProcessEvent(new DataView(exit.buffer), 0, FRAME_BYTES - 1)).toBe(false);
  for (const offset of [frame.type, frame.idx, frame.val, frame.dataLength]) {
    const other = exit.slice();
    other[offset] = 2;
    expect(isProcessEvent(new DataView(other.buffer), 0, other.length)).toBe(false);
  }
});

test("the subscription is the message that every kernel since 2.6.15 accepts", () => {
  const listen =
    "28000000 0300 0000 00000000 00000000 | 01000000 01000000 00000000 00000000 0400 0000 | 01000000";
  expect(operation("listen")).toEqual(hex(listen));
  expect(operation("ignore").at(36)).toBe(2);
});

test("the filter passes the events asked for and no others", () => {
  const program = eventFilter([PROC_EVENT_EXEC, PROC_EVENT_EXIT]);
  // Loads of classic BPF are big-endian; the events are written little-endian.
  const passes = (word: number): boolean => {
    let at = 1;
    for (;;) {
      const [code, jt, jf, k] = program[at] ?? [0, 0, 0, 0];
      if (code === 0x06) return k !== 0;
      at += 1 + (word === k ? jt : jf);
    }
  };
  expect(passes(0x0200_0000)).toBe(true);
  expect(passes(0x0000_0080)).toBe(true);
  expect(passes(0x0100_0000)).toBe(false);
  expect(passes(0x0000_0002)).toBe(false);
});
