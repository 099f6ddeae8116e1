// The socket pairs of a run: which processes they connect, when they are replaced, and how a shutdown is noticed.
// The supervisor holds copies of both ends of every pair, so no end is ever closed while the pair is in use. A hang-up
// therefore means that a process that has an end called shutdown(2) on it, which treewarden never does: it was taken
// over, or another process has copied its descriptor.
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, EPOLLRDHUP, type Poll } from "../linux/epoll.ts";
import { isHungUp } from "../linux/poll.ts";
import { socketPair } from "../linux/socketpair.ts";
import { copyHigh } from "../linux/spawn.ts";
import type { DescriptorUpdate } from "./standby-updates.ts";
import type { DescriptorName, Descriptors } from "./supervisor-plan.ts";

interface LinkRow {
  /** For the log: "the link between warden and reporter". */
  readonly between: string;
  readonly ends: readonly [DescriptorName, DescriptorName];
  /** Bytes that may wait at each end. */
  readonly bytes: number;
}

const links = {
  // Buffers what the warden reports while the reporter is busy.
  report: { between: "warden and reporter", ends: ["reportOfWarden", "reportOfReporter"], bytes: 4 << 20 },
  // Buffers one question for every program of a large host while no examiner runs.
  examiner: {
    between: "warden and examiner",
    ends: ["examinerOfWarden", "wardenOfExaminer"],
    bytes: 1 << 20,
  },
  controlWarden: {
    between: "supervisor and warden",
    ends: ["controlWarden", "controlOfWarden"],
    bytes: 64 << 10,
  },
  controlReporter: {
    between: "supervisor and reporter",
    ends: ["controlReporter", "controlOfReporter"],
    bytes: 64 << 10,
  },
  controlExaminer: {
    between: "supervisor and examiner",
    ends: ["controlExaminer", "controlOfExaminer"],
    bytes: 64 << 10,
  },
} as const satisfies Readonly<Record<string, LinkRow>>;

/** Ends at which the supervisor reads. */
const readEnds: ReadonlySet<DescriptorName> = new Set(["controlWarden"]);

export type LinkName = keyof typeof links;
export const linkNames: readonly LinkName[] = [
  "report",
  "examiner",
  "controlWarden",
  "controlReporter",
  "controlExaminer",
];

/** The pair `name`, newly created: its two ends by their names. */
export function createLink(name: LinkName): DescriptorUpdate {
  const { ends, bytes } = links[name];
  const [left, right] = ends;
  const made = socketPair(bytes);
  try {
    return { [left]: copyHigh(made[0]), [right]: copyHigh(made[1]) };
  } finally {
    for (const fd of made) closeDescriptor(fd);
  }
}

export class Links {
  private current: Descriptors;
  private readonly poll: Poll;
  private readonly firstToken: number;
  /** Pairs that no process has got yet. */
  private readonly fresh: Set<LinkName>;
  private readonly shutDown = new Set<LinkName>();
  private readonly onNew: (update: DescriptorUpdate) => void;

  /**
   * `descriptors`: copies made by `copyHigh`. `firstToken`: the first of five tokens of `poll`. `areFresh`: no process
   * has been started with them. `onNew` is called with the ends of each new pair before the old ends are closed.
   */
  constructor(options: {
    readonly descriptors: Descriptors;
    readonly poll: Poll;
    readonly firstToken: number;
    readonly areFresh: boolean;
    readonly onNew: (update: DescriptorUpdate) => void;
  }) {
    this.current = options.descriptors;
    this.poll = options.poll;
    this.firstToken = options.firstToken;
    this.fresh = new Set(options.areFresh ? linkNames : []);
    this.onNew = options.onNew;
    for (const name of linkNames) this.watch(name);
  }

  get descriptors(): Descriptors {
    return this.current;
  }

  /** The link with this token of the poll. */
  withToken(token: number): LinkName | undefined {
    return linkNames[token - this.firstToken];
  }

  /** For the log: "warden and reporter". */
  between(name: LinkName): string {
    return links[name].between;
  }

  /** True if one of the ends was shut down; the pair must then be renewed. It is reported once. */
  noticeShutdown(name: LinkName): boolean {
    if (this.shutDown.has(name) || !links[name].ends.some((end) => isHungUp(this.current[end]))) return false;
    this.shutDown.add(name);
    // Until the pair is replaced, its ends would stay ready.
    this.unwatch(name);
    return true;
  }

  wasShutDown(name: LinkName): boolean {
    return this.shutDown.has(name);
  }

  /** For a process that is about to get the pair: replaces it unless no process has got it yet. True if replaced. */
  renew(name: LinkName): boolean {
    const isUnused = this.fresh.delete(name);
    if (isUnused && !this.shutDown.has(name)) return false;
    this.replace(name, createLink(name));
    return true;
  }

  /** Puts other ends, which belong to this from now on, in place of the pair's, and closes those. */
  replace(name: LinkName, update: DescriptorUpdate): void {
    if (!this.shutDown.delete(name)) this.unwatch(name);
    const old = links[name].ends.map((end) => this.current[end]);
    this.current = { ...this.current, ...update };
    this.watch(name);
    this.onNew(update);
    for (const fd of old) closeDescriptor(fd);
  }

  /** Also reports that something can be read at `end` of a pair, until `on` is false. */
  watchInput(name: LinkName, end: DescriptorName, on: boolean): void {
    if (this.shutDown.has(name)) return;
    this.poll.modify(this.current[end], this.tokenOf(name), on ? EPOLLIN | EPOLLRDHUP : EPOLLRDHUP);
  }

  private tokenOf(name: LinkName): number {
    return this.firstToken + linkNames.indexOf(name);
  }

  // Packets wake nobody who waits only for EPOLLRDHUP: the kernel wakes by event.
  private watch(name: LinkName): void {
    for (const end of links[name].ends) {
      const events = readEnds.has(end) ? EPOLLIN | EPOLLRDHUP : EPOLLRDHUP;
      this.poll.add(this.current[end], this.tokenOf(name), events);
    }
  }

  private unwatch(name: LinkName): void {
    for (const end of links[name].ends) this.poll.remove(this.current[end]);
  }
}
