// The socket on which a supervisor passes its standby the ends of new socket pairs. A standby must hold copies of all
// current ends: when it takes over, the others would see a hang-up without them.
import { closeDescriptor } from "../linux/descriptor.ts";
import { receiveDescriptors, sendDescriptors } from "../linux/descriptor-passing.ts";
import { copyHigh } from "../linux/spawn.ts";
import { type DescriptorName, type Descriptors, parseDescriptorNames } from "./supervisor-plan.ts";

export type DescriptorUpdate = Partial<Readonly<Record<DescriptorName, number>>>;

const buffer = new Uint8Array(new ArrayBuffer(1024));

/** False if the standby does not read its updates, so that it must be replaced. */
export function sendUpdate(fd: number, update: DescriptorUpdate): boolean {
  return sendDescriptors(
    fd,
    new TextEncoder().encode(JSON.stringify(Object.keys(update))),
    Object.values(update),
  );
}

/** Applies all waiting updates to `descriptors`, and closes those that they replace. Never blocks. */
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
