// Several fields of one kernel struct read at once: a helper call costs more than the bytes between them.
import {
  addTo,
  type Code,
  callHelper,
  load,
  movImm,
  type Register,
  r1,
  r2,
  r3,
  r7,
  type Width,
} from "../../linux/bpf/assembler.ts";
import { helpers } from "../../linux/bpf/helpers.ts";

/** A field that may be missing is given as undefined. */
export type FieldSpecs<Name extends string> = Readonly<
  Record<Name, readonly [offset: number | undefined, width: Width]>
>;

export interface Fields<Name extends string> {
  /** Reads them; `src` must be one of r6 to r9. Loses r0 to r5. */
  read(src: Register): Code;
  /** `dst` = the field as it was read. */
  get(dst: Register, name: Name): Code;
}

/** Fields within as many bytes of each other are read together: 32 words are copied in the time of one more call. */
const REACH = 256;

interface Group {
  readonly from: number;
  to: number;
}

/** Lays out groups of fields in the memory below r7 - `top`, one behind the other. */
export class FieldSpace {
  private place: number;
  private readonly bottom: number;

  constructor(top: number, size: number) {
    this.place = -top;
    this.bottom = -top - size;
  }

  /** Room for `specs` of one struct. Throws if the space is used up, which no order of members can bring about. */
  fields<const Name extends string>(specs: FieldSpecs<Name>): Fields<Name> {
    const places = new Map<string, number>();
    const reads: { group: Group; place: number }[] = [];
    const sorted: { name: string; offset: number; width: Width }[] = [];
    for (const [name, [offset, width]] of entries(specs)) {
      if (offset !== undefined) sorted.push({ name, offset, width });
    }
    sorted.sort((a, b) => a.offset - b.offset);
    for (let i = 0; i < sorted.length; ) {
      const group = { from: (sorted[i]?.offset ?? 0) & ~7, to: 0 };
      const members: typeof sorted = [];
      for (let field = sorted[i]; field !== undefined; field = sorted[i]) {
        if (field.offset + field.width - group.from > REACH) break;
        group.to = (field.offset + field.width + 7) & ~7;
        members.push(field);
        i += 1;
      }
      this.place -= group.to - group.from;
      if (this.place < this.bottom) throw new RangeError("no space left for kernel fields");
      reads.push({ group, place: this.place });
      for (const field of members) places.set(field.name, this.place + field.offset - group.from);
    }
    return {
      read: (src) =>
        reads.map(({ group, place }) => [
          addTo(r1, r7, place),
          movImm(r2, group.to - group.from),
          addTo(r3, src, group.from),
          callHelper(helpers.probeReadKernel),
        ]),
      get: (dst, name) => {
        const place = places.get(name);
        return place === undefined ? movImm(dst, 0) : load(specs[name][1], dst, r7, place);
      },
    };
  }
}

function entries<Name extends string>(
  specs: FieldSpecs<Name>,
): [string, readonly [number | undefined, Width]][] {
  return Object.entries(specs);
}
