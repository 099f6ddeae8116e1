// What the supervisor keeps of the warden's source of events, so that the kernel goes on with it while no warden runs: open
// descriptors, and a text in which the warden describes them for the next one. The supervisor understands neither.
import { readFileSync } from "node:fs";
import { closeDescriptor } from "../linux/descriptor.ts";
import { MOST_PASSED, receiveDescriptors, sendDescriptors } from "../linux/descriptor-passing.ts";
import { createSealedFile } from "../linux/memfd.ts";
import { copyHigh } from "../linux/spawn.ts";

/** Open descriptors and what they are of. */
export interface DescribedDescriptors {
  readonly description: string;
  readonly descriptors: readonly number[];
}

/** Bytes of the longest description. A name of 20 bytes for each descriptor takes half of it. */
const DESCRIPTION_BYTES = 6 << 10;
/** A warden inherits eight others besides, and all of them below the copies of its supervisor (FIRST_COPY). */
export const MOST_KEPT = MOST_PASSED - 16;
/** First line of the packet. */
const KEEP = "keep\n";
/** Bytes of the longest packet on a socket on which this packet may arrive. */
export const KEEP_PACKET_BYTES = KEEP.length + DESCRIPTION_BYTES;

export const NOTHING_KEPT: DescribedDescriptors = { description: "", descriptors: [] };

/** What is kept now; it belongs to this. */
export class KeptDescriptors {
  private current = NOTHING_KEPT;

  /** Keeps copies of other descriptors, in place of the present ones. */
  replace({ description, descriptors }: DescribedDescriptors): void {
    const copies = descriptors.slice(0, MOST_KEPT).map(copyHigh);
    this.current.descriptors.forEach(closeDescriptor);
    this.current = { description, descriptors: copies };
  }

  get value(): DescribedDescriptors {
    return this.current;
  }

  /** The descriptors for a new warden, as `readKept` expects them: the first is of a new file, which the caller closes. */
  forWarden(): readonly [file: number, ...kept: number[]] {
    const { description, descriptors } = this.current;
    const text = JSON.stringify({ count: descriptors.length, description });
    const file = createSealedFile("kept-objects", text);
    const copy = copyHigh(file);
    closeDescriptor(file);
    return [copy, ...descriptors];
  }
}

/** Has `kept` take over what was received; without it, nothing is kept. */
export function keepAndClose(received: DescribedDescriptors, kept: KeptDescriptors | undefined): void {
  kept?.replace(received);
  received.descriptors.forEach(closeDescriptor);
}

/** What a process has inherited as the descriptor `first` and those that follow it; undefined if nothing was kept. */
export function readKept(first: number): DescribedDescriptors | undefined {
  const text: unknown = JSON.parse(readFileSync(`/proc/self/fd/${first}`, "utf8"));
  closeDescriptor(first);
  if (typeof text !== "object" || text === null || !("count" in text) || !("description" in text))
    return undefined;
  const { count, description } = text;
  if (typeof count !== "number" || typeof description !== "string" || count === 0) return undefined;
  return { description, descriptors: Array.from({ length: count }, (_, i) => first + 1 + i) };
}

/** Sends the packet that has the other end of `fd` keep these descriptors and no others; false if there is no room. */
export function sendKept(fd: number, { description, descriptors }: DescribedDescriptors): boolean {
  const packet = new TextEncoder().encode(KEEP + description);
  if (packet.length > KEEP_PACKET_BYTES || descriptors.length > MOST_KEPT)
    throw new RangeError(`${descriptors.length} descriptors cannot be kept`);
  return sendDescriptors(fd, packet, descriptors);
}

/** A packet and the descriptors that came with it. */
export interface PacketWithDescriptors {
  readonly packet: Uint8Array;
  readonly descriptors: readonly number[];
}

/** The packets that wait at `fd`, oldest first. Their descriptors belong to the caller. Never blocks. */
export function* receivePackets(fd: number): Generator<PacketWithDescriptors, void, undefined> {
  const buffer = new Uint8Array(new ArrayBuffer(KEEP_PACKET_BYTES));
  for (;;) {
    const { length, descriptors } = receiveDescriptors(fd, buffer);
    if (length <= 0) return;
    yield { packet: buffer.slice(0, length), descriptors };
  }
}

/** What a packet asks to keep; undefined if it is another packet. */
export function keptIn({ packet, descriptors }: PacketWithDescriptors): DescribedDescriptors | undefined {
  const text = new TextDecoder().decode(packet);
  return text.startsWith(KEEP) ? { description: text.slice(KEEP.length), descriptors } : undefined;
}
