// A group of maps, programs and attachments that belong together: created by this process, or left by an earlier one whose
// descriptors somebody has kept. Nothing is pinned, so they last as long as a process has descriptors of them.
import { closeDescriptor } from "../descriptor.ts";
import { BpfMap, type MapSpec } from "./map.ts";
import { BpfProgram, type ProgramPlace } from "./program.ts";

/** Descriptors by the kind and name of what they are of: `map:events`, `program:exec`, `link:exec`. */
export type DescriptorsByName = ReadonlyMap<string, number>;

/** What an earlier process has left is incomplete. */
export class MissingObject extends Error {
  override readonly name = "MissingObject";
}

export class KernelObjects implements Disposable {
  /** Whether the maps are those of an earlier process. */
  readonly isInherited: boolean;
  private readonly left: Map<string, number>;
  private readonly own = new Map<string, Disposable & { readonly fd: number }>();

  /** `left`: what an earlier process has left, which belongs to this from now on; undefined: everything is created. */
  constructor(left?: DescriptorsByName) {
    this.isInherited = left !== undefined;
    this.left = new Map(left);
  }

  /** A map under `spec.name` here, `tw_NAME` in the kernel. Throws MissingObject if the others are inherited and this one is not among them. */
  map(spec: MapSpec): BpfMap {
    const key = `map:${spec.name}`;
    const existing = this.take(key);
    if (existing === undefined && this.isInherited) throw new MissingObject(key);
    return this.add(key, new BpfMap({ ...spec, name: `tw_${spec.name}` }, existing));
  }

  /** A program under `name` here, `tw_NAME` in the kernel. `code` is called if it has to be loaded. */
  program(name: string, code: () => Uint8Array, place: ProgramPlace): BpfProgram {
    const key = `program:${name}`;
    return this.add(key, new BpfProgram(`tw_${name}`, this.take(key) ?? code(), place));
  }

  /** The attachment of the program `name`. `attach` is called if it is not attached. */
  link(name: string, attach: () => number): number {
    const key = `link:${name}`;
    const fd = this.take(key) ?? attach();
    this.add(key, { fd, [Symbol.dispose]: () => closeDescriptor(fd) });
    return fd;
  }

  /** Whether an earlier process has left the attachment of the program `name`, which this one has not taken yet. */
  isLeft(name: string): boolean {
    return this.left.has(`link:${name}`);
  }

  /** Detaches and releases the program `name`. */
  unload(name: string): void {
    for (const key of [`link:${name}`, `program:${name}`]) {
      this.own.get(key)?.[Symbol.dispose]();
      this.own.delete(key);
    }
  }

  /** All that is in use, for somebody who keeps it. */
  get descriptors(): DescriptorsByName {
    return new Map([...this.own].map(([key, { fd }]) => [key, fd]));
  }

  /** Closes what an earlier process has left and this one has no use for. */
  closeUnused(): void {
    for (const fd of this.left.values()) closeDescriptor(fd);
    this.left.clear();
  }

  /** Releases everything, in the reverse of the order in which it was added. */
  [Symbol.dispose](): void {
    this.closeUnused();
    for (const each of [...this.own.values()].reverse()) each[Symbol.dispose]();
    this.own.clear();
  }

  private take(key: string): number | undefined {
    const fd = this.left.get(key);
    this.left.delete(key);
    return fd;
  }

  private add<T extends Disposable & { readonly fd: number }>(key: string, object: T): T {
    this.own.set(key, object);
    return object;
  }
}

/** A digest of programs and maps: equal ones do the same in the same layout. */
export function digestOfObjects(
  build: string,
  maps: readonly MapSpec[],
  programs: readonly Uint8Array[],
): string {
  const hash = new Bun.CryptoHasher("sha256");
  hash.update(build);
  hash.update(JSON.stringify(maps.map(({ types: _, ...spec }) => spec)));
  for (const code of programs) {
    hash.update(`${code.length}:`);
    hash.update(code);
  }
  return hash.digest("hex");
}
