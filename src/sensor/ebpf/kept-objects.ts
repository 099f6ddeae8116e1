// What somebody keeps of the sensor in case this process dies: the descriptors of its maps, programs and attachments, in
// groups that are loaded together. While they are kept the kernel goes on recording, and the next process reads on.
import type { DescriptorsByName } from "../../linux/bpf/objects.ts";
import { closeDescriptor } from "../../linux/descriptor.ts";
import type { KeptObjects, ObjectKeeper } from "../object-keeper.ts";

/** `events`: what records forks, execs and exits. The others need it: without it they are not continued. */
export type GroupName = "events" | "network" | "condemned";
const groupNames: readonly GroupName[] = ["events", "network", "condemned"];

interface Group {
  /** See `digestOfObjects`. */
  readonly digest: string;
  readonly descriptors: DescriptorsByName;
}

export class KeptGroups implements Disposable {
  private readonly keeper: ObjectKeeper | undefined;
  private readonly groups = new Map<GroupName, Group>();
  /** The groups of an earlier process that nobody has taken yet. */
  private readonly left = new Set<GroupName>();
  /** Of the groups that were loaded. */
  private readonly digests = new Map<GroupName, string>();

  /** Without a keeper, nothing is kept, and nothing was left. */
  constructor(keeper: ObjectKeeper | undefined) {
    this.keeper = keeper;
    const objects = keeper?.takeLeft();
    const groups = objects === undefined ? undefined : decodeGroups(objects);
    if (groups === undefined) objects?.descriptors.forEach(closeDescriptor);
    for (const [name, group] of groups ?? []) {
      this.groups.set(name, group);
      this.left.add(name);
    }
  }

  /**
   * Passes what an earlier process has left of a group to `load`, which owns it then; or nothing, if it left none or
   * another one. `digest` is called if somebody keeps the group. If what was left cannot be continued, `load` is called
   * again, without it.
   */
  load<T>(name: GroupName, digest: (build: string) => string, load: (left?: DescriptorsByName) => T): T {
    if (this.keeper === undefined) return load();
    const wanted = digest(this.keeper.build);
    this.digests.set(name, wanted);
    const group = this.groups.get(name);
    if (group?.digest !== wanted || !this.left.delete(name)) return load();
    try {
      return load(group.descriptors);
    } catch {
      if (name === "events") this.closeLeft();
      return load();
    }
  }

  /** Has what is now in use of a group that was loaded kept, in place of what was kept of it before. */
  keep(name: GroupName, descriptors: DescriptorsByName): void {
    const digest = this.digests.get(name);
    if (this.keeper === undefined || digest === undefined) return;
    // What was left of it is another one.
    if (this.left.has(name)) this.closeLeft(name === "events" ? undefined : name);
    this.groups.set(name, { digest, descriptors });
    this.keeper.keep(encodeGroups(this.groups));
  }

  /** Has nothing of a group kept any more. */
  drop(name: GroupName): void {
    if (this.keeper === undefined || !this.groups.has(name)) return;
    this.closeLeft(name);
    this.groups.delete(name);
    this.keeper.keep(encodeGroups(this.groups));
  }

  /** Closes what nobody has taken. */
  [Symbol.dispose](): void {
    this.closeLeft();
  }

  /** Closes what nobody has taken of a group, or of all. */
  private closeLeft(only?: GroupName): void {
    for (const name of [...this.left]) {
      if (only !== undefined && name !== only) continue;
      for (const fd of this.groups.get(name)?.descriptors.values() ?? []) closeDescriptor(fd);
      this.groups.delete(name);
      this.left.delete(name);
    }
  }
}

/** A line for each group: its name, its digest, and the names of its descriptors, which follow each other. */
function encodeGroups(groups: ReadonlyMap<GroupName, Group>): KeptObjects {
  const lines = [...groups].map(([name, { digest, descriptors }]) =>
    [name, digest, ...descriptors.keys()].join(" "),
  );
  return {
    description: lines.join("\n"),
    descriptors: [...groups.values()].flatMap(({ descriptors }) => [...descriptors.values()]),
  };
}

/** Undefined if the description is of another version of treewarden. */
function decodeGroups({ description, descriptors }: KeptObjects): ReadonlyMap<GroupName, Group> | undefined {
  const groups = new Map<GroupName, Group>();
  let next = 0;
  for (const line of description.split("\n")) {
    const [first, digest = "", ...keys] = line.split(" ");
    const name = groupNames.find((each) => each === first);
    if (name === undefined) return undefined;
    const own = descriptors.slice(next, next + keys.length);
    next += keys.length;
    groups.set(name, { digest, descriptors: new Map(own.map((fd, i) => [keys[i] ?? "", fd])) });
  }
  return next === descriptors.length ? groups : undefined;
}
