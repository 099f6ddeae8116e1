// The socket on which a supervisor passes its standby the ends of new socket pairs, and what is kept of the warden. A
// standby must hold copies of all current ends: when it takes over, the others would see a hang-up without them.
import { closeDescriptor } from "../linux/descriptor.ts";
import { sendDescriptors } from "../linux/descriptor-passing.ts";
import { socketPair } from "../linux/socketpair.ts";
import { copyHigh } from "../linux/spawn.ts";
import {
  type DescribedDescriptors,
  type KeptDescriptors,
  keptIn,
  receivePackets,
  sendKept,
} from "./kept-objects.ts";
import { type DescriptorName, type Descriptors, parseDescriptorNames } from "./supervisor-plan.ts";

export type DescriptorUpdate = Partial<Readonly<Record<DescriptorName, number>>>;

/**
 * A standby reads its updates at once; one that does not is replaced as soon as the next update does not fit. Several of
 * the largest (KEEP_PACKET_BYTES) and some tens of the ordinary ones do.
 */
const SOCKET_BYTES = 32 << 10;

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

  /** As `send`, for what is kept of the warden. */
  sendKept(kept: DescribedDescriptors): boolean {
    return this.ends === undefined || sendKept(this.ends.ours, kept);
  }
}

/**
 * The standby's side: applies all updates that wait at `fd` to `descriptors`, whose new value it returns, and to `kept`, and
 * closes what they replace. Never blocks.
 */
export function receiveUpdates(fd: number, descriptors: Descriptors, kept: KeptDescriptors): Descriptors {
  let current = descriptors;
  for (const received of receivePackets(fd)) {
    const keep = keptIn(received);
    if (keep !== undefined) kept.replace(keep);
    else current = withUpdate(current, namesIn(received.packet), received.descriptors);
    received.descriptors.forEach(closeDescriptor);
  }
  return current;
}

function withUpdate(
  descriptors: Descriptors,
  names: readonly DescriptorName[],
  passed: readonly number[],
): Descriptors {
  let current = descriptors;
  for (const [i, received] of passed.entries()) {
    const name = names[i];
    if (name === undefined) continue;
    closeDescriptor(current[name]);
    current = { ...current, [name]: copyHigh(received) };
  }
  return current;
}

function namesIn(packet: Uint8Array): readonly DescriptorName[] {
  const value: unknown = JSON.parse(new TextDecoder().decode(packet));
  return parseDescriptorNames(value) ?? [];
}
