// The socket on which a supervisor passes its standby the ends of new socket pairs. A standby must hold copies of all
// current ends: when it takes over, the others would see a hang-up without them.
import { closeDescriptor } from "../linux/descriptor.ts";
import { receiveDescriptors, sendDescriptors } from "../linux/descriptor-passing.ts";
import { socketPair } from "../linux/socketpair.ts";
import { copyHigh } from "../linux/spawn.ts";
import { type DescriptorName, type Descriptors, parseDescriptorNames } from "./supervisor-plan.ts";

export type DescriptorUpdate = Partial<Readonly<Record<DescriptorName, number>>>;

/** A standby reads its updates at once; one that does not is replaced as soon as the next update does not fit. */
const SOCKET_BYTES = 8 << 10;

/** The supervisor's side. */
export class StandbyUpdates {
  private ends: { readonly ours: number; readonly theirs: number } | undefined;

  /** Makes a socket for a standby that is about to start; returns its end, which stays open here. */
  open(): number {
    this.close();
    const ends = socketPair(SOCKET_BYTES);
    const [ours, theirs] = [copyHigh(ends[0]), copyHigh(ends[1])];
    ends.forEach(closeDescriptor);
    this.ends = { ours, theirs };
    return theirs;
  }

  /** For a standby that has ended. */
  close(): void {
    if (this.ends !== undefined) Object.values(this.ends).forEach(closeDescriptor);
    this.ends = undefined;
  }

  /** False if the standby does not read its updates, so that it must be replaced. */
  send(update: DescriptorUpdate): boolean {
    // The next standby gets all current descriptors at its start.
    if (this.ends === undefined) return true;
    const names = new TextEncoder().encode(JSON.stringify(Object.keys(update)));
    return sendDescriptors(this.ends.ours, names, Object.values(update));
  }
}

const buffer = new Uint8Array(new ArrayBuffer(1024));

/**
 * The standby's side: applies all updates that wait at `fd` to `descriptors`, and closes those that they replace. Never
 * blocks.
 */
export function receiveUpdates(fd: number, descriptors: Descriptors): Descriptors {
  let current = descriptors;
  for (;;) {
    const { length, descriptors: passed } = receiveDescriptors(fd, buffer);
    if (length <= 0) return current;
    const names = namesIn(buffer.subarray(0, length));
    for (const [i, received] of passed.entries()) {
      const name = names[i];
      if (name !== undefined) {
        closeDescriptor(current[name]);
        current = { ...current, [name]: copyHigh(received) };
      }
      closeDescriptor(received);
    }
  }
}

function namesIn(packet: Uint8Array): readonly DescriptorName[] {
  const value: unknown = JSON.parse(new TextDecoder().decode(packet));
  return parseDescriptorNames(value) ?? [];
}
