// The supervisor keeps the kernel objects of the warden's source of events, so that the kernel goes on with them while no warden
// runs: open descriptors of BPF programs, maps and links, and a text in which the warden describes them for the next warden. The
// supervisor interprets neither. The warden sends them in a packet (`sendKept`), the supervisor holds copies
// (`KeptDescriptors`), and the next warden inherits them (`readKept`).
import { readFileSync } from "node:fs";
import { closeDescriptor } from "../linux/descriptor.ts";
import { MOST_PASSED, receiveDescriptors, sendDescriptors } from "../linux/descriptor-passing.ts";
import { createSealedFile } from "../linux/memfd.ts";
import { copyHigh } from "../linux/spawn.ts";

/** Open descriptors, and the warden's description of them. */
export interface DescribedDescriptors {
  readonly description: string;
  readonly descriptors: readonly number[];
}

/** Bytes of the longest description. A name of 20 bytes for each descriptor takes half of it. */
const DESCRIPTION_BYTES = 6 << 10;
/** The most descriptors. A warden inherits eight others as well, and all must be below its supervisor's copies (FIRST_COPY). */
export const MOST_KEPT = MOST_PASSED - 16;
/** The first line of the packet that has descriptors kept. */
const KEEP = "keep\n";
/** Bytes of the longest packet on a socket on which this packet may arrive. */
export const KEEP_PACKET_BYTES = KEEP.length + DESCRIPTION_BYTES;

export const NOTHING_KEPT: DescribedDescriptors = { description: "", descriptors: [] };

/** The descriptors that are kept now. This object owns them. */
export class KeptDescriptors {
  private current = NOTHING_KEPT;

  /** Keeps copies of these descriptors instead of the present ones, which it closes. The caller still owns what it passes. */
  replace({ description, descriptors }: DescribedDescriptors): void {
    const copies = descriptors.slice(0, MOST_KEPT).map(copyHigh);
    this.current.descriptors.forEach(closeDescriptor);
    this.current = { description, descriptors: copies };
  }

  get value(): DescribedDescriptors {
    return this.current;
  }

  /**
   * The descriptors for a new warden, in the order that `readKept` expects. The first is that of a new file with the description,
   * which the caller closes; the others stay this object's.
   */
  forWarden(): readonly [file: number, ...kept: number[]] {
    const { description, descriptors } = this.current;
    const text = JSON.stringify({ count: descriptors.length, description });
    const file = createSealedFile("kept-objects", text);
    const copy = copyHigh(file);
    closeDescriptor(file);
    return [copy, ...descriptors];
  }
}

/** Puts copies of what was received into `kept`, if it is given, and closes what was received. */
export function keepAndClose(received: DescribedDescriptors, kept: KeptDescriptors | undefined): void {
  kept?.replace(received);
  received.descriptors.forEach(closeDescriptor);
}

/**
 * Reads what `forWarden` has passed on: the file at the descriptor `first`, which is closed, and the descriptors after it.
 * undefined if nothing was kept. Throws a SyntaxError if the file is no JSON.
 */
export function readKept(first: number): DescribedDescriptors | undefined {
  const text: unknown = JSON.parse(readFileSync(`/proc/self/fd/${first}`, "utf8"));
  closeDescriptor(first);
  if (typeof text !== "object" || text === null || !("count" in text) || !("description" in text))
    return undefined;
  const { count, description } = text;
  if (typeof count !== "number" || typeof description !== "string" || count === 0) return undefined;
  return { description, descriptors: Array.from({ length: count }, (_, i) => first + 1 + i) };
}

/**
 * Asks the supervisor at the other end of `fd` to keep these descriptors and no others. False if the socket has no room. Throws
 * a RangeError beyond MOST_KEPT or KEEP_PACKET_BYTES.
 */
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

/** Receives the packets that wait at `fd`, oldest first. The caller owns their descriptors. Never blocks. */
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
