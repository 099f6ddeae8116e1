// Captures in memory: written from items, and read back.
import { zstdDecompressSync } from "node:zlib";
import type { Line } from "../../src/sensor/capture/blocks.ts";
import { type CaptureEnd, openCapture } from "../../src/sensor/capture/capture-reader.ts";
import { CaptureWriter } from "../../src/sensor/capture/capture-writer.ts";
import type { ByteSource } from "../../src/sensor/capture/frame.ts";
import { type CaptureItem, isEvent } from "../../src/sensor/capture/items.ts";
import { header } from "./capture-arbitrary.ts";

export const userName = (uid: number): string | undefined => (uid % 2 === 0 ? `user${uid}` : undefined);

export function put(writer: CaptureWriter, item: CaptureItem): void {
  if (isEvent(item)) writer.event(item);
  else if (item.kind === "scan") writer.scan(item.processes, item.time);
  else if (item.kind === "clock") writer.clock(item.wallOffset, item.suspended);
  else if (item.kind === "text") for (const _part of writer.text(item.name, item.text));
  else writer.add(item.kind, item);
}

/** The frames of a capture of `items`; `each`: every item in a block of its own. */
export function framesOf(items: readonly CaptureItem[], finish = true, each = false): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const writer = new CaptureWriter((frame) => frames.push(frame), header, userName);
  for (const item of items) {
    put(writer, item);
    if (each) writer.flush();
  }
  if (finish) writer.end();
  else writer.flush();
  return frames;
}

export function joined(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(frames));
}

export function captureOf(items: readonly CaptureItem[], finish = true): Uint8Array {
  return joined(framesOf(items, finish));
}

export function sourceOf(bytes: Uint8Array): ByteSource {
  let at = 0;
  return (target) => {
    const part = bytes.subarray(at, at + target.length);
    target.set(part);
    at += part.length;
    return part.length;
  };
}

/** Every item of a capture that can be opened, user names left out, and how it ended. */
export function readBack(bytes: Uint8Array): { readonly items: CaptureItem[]; readonly end: CaptureEnd } {
  const result = openCapture(sourceOf(bytes));
  if (!result.ok) throw new Error(result.problem.kind);
  const items: CaptureItem[] = [];
  const end = result.capture.read((item) => {
    if (item.kind !== "user_name") items.push(item);
  });
  return { items, end };
}

/** How reading ends of bytes that may be anything. */
export function outcomeOf(bytes: Uint8Array): string {
  const result = openCapture(sourceOf(bytes));
  return result.ok ? result.capture.read(() => {}).kind : result.problem.kind;
}

/** The lines of a capture, as `zstdcat F | jq` has them. */
export function linesOf(bytes: Uint8Array): Line[] {
  const text = zstdDecompressSync(bytes).toString();
  return text
    .trimEnd()
    .split("\n")
    .map((line): Line => JSON.parse(line));
}
