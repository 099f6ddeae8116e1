// Records of the eBPF programs. The kernel sets numbers and offsets; every user chooses the texts.
import { Decoder } from "../../../src/sensor/ebpf/decode.ts";
import {
  commonLayout,
  execLayout,
  exitLayout,
  forkLayout,
  recordKinds,
} from "../../../src/sensor/ebpf/layout.ts";
import { bytesOf } from "../corpus.ts";
import type { FuzzTarget } from "../target.ts";

const ends = [
  execLayout.filenameEnd,
  execLayout.argsEnd,
  execLayout.ttyEnd,
  execLayout.cgroupEnd,
  execLayout.executableEnd,
  execLayout.cwdEnd,
];
/** Bytes of a description in the corpus: the kind, a length for each text, and the numbers of the record. */
const DESCRIPTION = 1 + 2 * ends.length;
const kinds = [recordKinds.exec, recordKinds.exec, recordKinds.fork, recordKinds.exit];

const decoder = new Decoder({ audit: true, cgroups: true, environmentNames: ["LD_PRELOAD", "ENV"] });

function sizeOfKind(kind: number, length: number): number {
  if (kind === recordKinds.fork) return forkLayout.size;
  return kind === recordKinds.exit ? exitLayout.size : Math.max(execLayout.texts, length);
}

/** A record with the numbers and texts of `input`, and with ends that lie in order within it, as the programs set them. */
function recordOf(input: Uint8Array): Uint8Array<ArrayBuffer> {
  const kind = kinds[(input[0] ?? 0) % kinds.length] ?? recordKinds.exec;
  const rest = input.subarray(DESCRIPTION);
  const size = sizeOfKind(kind, rest.length);
  const record = new Uint8Array(new ArrayBuffer((size + 7) & ~7));
  record.set(rest.subarray(0, size));
  const view = new DataView(record.buffer);
  view.setUint32(commonLayout.kind, kind, true);
  if (kind !== recordKinds.exec) return record;
  let end: number = execLayout.texts;
  for (const [i, field] of ends.entries()) {
    const length = (input[1 + 2 * i] ?? 0) + 256 * (input[2 + 2 * i] ?? 0);
    end = Math.min(size, end + length);
    view.setUint32(field, end, true);
  }
  return record;
}

export const events: FuzzTarget = {
  name: "events",
  parses: "records of the eBPF programs, whose texts every user chooses",
  weight: 20,
  parse(input) {
    const record = recordOf(bytesOf(input));
    let size = 0;
    decoder.decode(record, new Uint32Array(record.buffer), 0, record.length, (event) => {
      size += 1;
      if (event.kind !== "exec") return;
      const { executable = "", filename = "", args = [], cwd = "", cgroup = "", tty } = event.facts;
      size += executable.length + filename.length + args.join(" ").length + cwd.length + cgroup.length;
      size += tty?.length ?? 0;
    });
    return size;
  },
};
