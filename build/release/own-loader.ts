// Changes a dynamically linked executable so that it starts with a loader and with libraries of its own, wherever those
// of the host are and whatever they are. The loader must be named by an absolute path: a relative one would be looked
// up in the folder in which the user happens to be, and an explicit call of the loader would make it /proc/self/exe,
// which treewarden executes again for its processes.
import { ENTRY_STUB_ALIGNMENT } from "../entry-stub.ts";

export interface OwnLoader {
  /** Absolute path of the loader; at most as long as the one that it replaces. */
  readonly loader: string;
  /** Absolute path of the folder that is searched before all others, also by libraries (DT_RPATH, ld.so(8)). */
  readonly libraries: string;
}

// elf.h: offsets in Elf64_Ehdr and Elf64_Phdr, types of segments, and tags of the dynamic section (Elf64_Dyn: tag, value).
const E_PHOFF = 32;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const P_OFFSET = 8;
const P_VADDR = 16;
const P_FILESZ = 32;
const P_MEMSZ = 40;
const DYN_SIZE = 16;
const DT_NULL = 0n;
const DT_STRTAB = 5n;
const DT_RPATH = 15n;
const DT_DEBUG = 21n;

/**
 * A copy of the executable `file`, which `addEntryStub` has made. Throws if it lacks something of which this makes use,
 * or if the loader's path is too long.
 */
export function useOwnLoader(file: Uint8Array, { loader, libraries }: OwnLoader): Uint8Array {
  const folder = new TextEncoder().encode(`${libraries}\0`);
  const result = new Uint8Array(file.length + folder.length);
  result.set(file);
  result.set(folder, file.length);
  const view = new DataView(result.buffer);
  const number = (at: number): number => Number(view.getBigUint64(at, true));
  const headers = Array.from(
    { length: view.getUint16(E_PHNUM, true) },
    (_, i) => number(E_PHOFF) + i * view.getUint16(E_PHENTSIZE, true),
  );
  const header = (type: number): number => {
    const found = headers.findLast((each) => view.getUint32(each, true) === type);
    if (found === undefined) throw new RangeError(`no program header of type ${type}`);
    return found;
  };

  const interpreter = header(PT_INTERP);
  const path = new TextEncoder().encode(`${loader}\0`);
  const room = number(interpreter + P_FILESZ);
  if (path.length > room) throw new RangeError(`the loader's path must have at most ${room - 1} bytes`);
  result.fill(0, number(interpreter + P_OFFSET), number(interpreter + P_OFFSET) + room);
  result.set(path, number(interpreter + P_OFFSET));
  for (const field of [P_FILESZ, P_MEMSZ]) view.setBigUint64(interpreter + field, BigInt(path.length), true);

  // The segment of the entry stub ends with the file, so it can grow by the folder's name.
  const stub = header(PT_LOAD);
  if (number(stub + P_OFFSET) + number(stub + P_FILESZ) !== file.length)
    throw new RangeError("the last segment must end with the file");
  if (number(stub + P_OFFSET) % ENTRY_STUB_ALIGNMENT !== 0)
    throw new RangeError("the last segment must be the entry stub's");
  const address = view.getBigUint64(stub + P_VADDR, true) + view.getBigUint64(stub + P_FILESZ, true);
  for (const field of [P_FILESZ, P_MEMSZ])
    view.setBigUint64(stub + field, view.getBigUint64(stub + field, true) + BigInt(folder.length), true);

  // The loader adds the value to the address of the table of strings, whose size it does not check. The entry that is
  // replaced is the one in which the loader leaves something for debuggers.
  const entries = new Map<bigint, number>();
  const dynamic = header(PT_DYNAMIC);
  for (let at = number(dynamic + P_OFFSET); view.getBigUint64(at, true) !== DT_NULL; at += DYN_SIZE)
    entries.set(view.getBigUint64(at, true), at);
  const [strings, replaced] = [entries.get(DT_STRTAB), entries.get(DT_DEBUG)];
  if (strings === undefined || replaced === undefined)
    throw new RangeError("the dynamic section must have DT_STRTAB and DT_DEBUG");
  view.setBigUint64(replaced, DT_RPATH, true);
  view.setBigUint64(replaced + 8, address - view.getBigUint64(strings + 8, true), true);
  return result;
}
