// The host of a capture, brought back item by item: its forest, by the same tracker as the warden's, and all that it
// had to judge by.

import { AcceptedTrees, type ScopeOrPending } from "../baseline/accepted-trees.ts";
import { Baseline, type Knowledge } from "../baseline/baseline.ts";
import { readBaseline } from "../baseline/baseline-file.ts";
import { Exclusions, parseExclusions } from "../baseline/exclusions.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import { imageKey } from "../fingerprint/image-reference.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { decodeRunnable } from "../fingerprint/saved-runnable.ts";
import { restoreSnapshot } from "../forest/forest-snapshot.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import { formatPolicyError } from "../policy/document.ts";
import { globCompilers } from "../policy/glob.ts";
import { loadPolicies } from "../policy/load.ts";
import type { Policy } from "../policy/policy.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import type { ExecSubject } from "../policy/subject.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import type { Capture } from "../sensor/capture/capture-reader.ts";
import type {
  CaptureItem,
  ChangedItem,
  ContainerItem,
  ExaminedItem,
  PeerItem,
  ScanItem,
  TextItem,
} from "../sensor/capture/items.ts";
import { Malformed } from "../sensor/capture/line-values.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";
import { parseBase } from "../warden/base-file.ts";
import { baselineTexts, captureTexts, isBaseline, isRoleBaseline } from "../warden/capture-texts.ts";
import type { KnowableExec } from "../warden/known-trees.ts";
import { type Execution, Tracker, type TrackerListener } from "../warden/tracker.ts";
import { identifyAccounted } from "./accounted.ts";

/** A policy to judge by instead of the captured one, with the baselines that come with its roles. */
export interface OtherPolicy {
  readonly policy: Policy;
  readonly baselines: readonly RoleBaseline[];
}

/** An exec, or a process that a scan found. */
type ExecKey = Pick<ChangedItem, "pid" | "time">;

/** Files, containers and users that are remembered: more than any writer records before it writes `forget`. */
const ANSWERS_LIMIT = 131_072;
/** Characters of baselines that are remembered. */
const BASELINES_LIMIT = 256 * 1024 * 1024;

export class CapturedHost {
  readonly tracker: Tracker;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns, of the event at hand. */
  wallOffset: number;
  /** The policy to judge by; undefined while there is none. */
  policy: Policy | undefined;
  /** The first scan was handed over. */
  scanned = false;
  private readonly other: OtherPolicy | undefined;
  private readonly accepted: AcceptedTrees;
  /** Names what a process runs, by the captured host's base list. */
  identify = identifyAccounted(createIdentifier());
  private readonly users = new Map<number, string>();
  private readonly examinedFiles = new Map<string, ExaminedFile>();
  /** Of execs that follow, or are judged again: each is used once. */
  private readonly changedFiles = new Map<string, ChangedItem>();
  /** Of the event that follows. */
  private peer: PeerItem | undefined;
  private readonly containers = new Map<string, Omit<ContainerItem, "kind" | "id">>();
  private readonly baselines = new Map<string, string>();
  /** For a container without a record: only a warden asks, and may have no answer yet. */
  private readonly unknownImage: null | undefined;
  private missing: readonly Process[] = [];
  private readonly onAnswer: (key: string) => void;

  /**
   * `other`: judges instead of the capture's own policy. `onAnswer` is called when an answer comes that `awaited` has
   * named.
   */
  constructor(
    capture: Capture,
    listener: TrackerListener,
    other?: OtherPolicy,
    onAnswer: (key: string) => void = () => undefined,
  ) {
    const { header } = capture;
    this.onAnswer = onAnswer;
    this.other = other;
    this.policy = other?.policy;
    this.wallOffset = header.wallOffset;
    this.unknownImage = header.madeBy === "warden" ? undefined : null;
    this.accepted = new AcceptedTrees(this.baselineOf([]), new Exclusions([], globCompilers));
    const totals = new Totals();
    this.tracker = new Tracker(
      {
        identify: (facts) => this.identify(facts),
        totals,
        trees: new TreeTotals(totals, { mode: "off", limit: 1 }, () => 0),
        suspendedNs: header.suspended,
        isKnown: () => false,
      },
      listener,
    );
  }

  /** Takes what comes next. Throws Malformed for what no writer makes. */
  take(item: CaptureItem): void {
    switch (item.kind) {
      case "clock":
        this.wallOffset = item.wallOffset;
        this.tracker.forest.suspendedNs = item.suspended;
        return;
      case "scan":
        this.takeScan(item);
        return;
      case "scan_end":
        this.tracker.forget(this.missing);
        this.missing = [];
        return;
      case "process_start": {
        const process = this.tracker.forest.get(item.pid);
        if (process !== undefined) this.tracker.forest.learnStart(process, item.startTicks);
        return;
      }
      case "user_name":
        remember(this.users, item.uid, item.name);
        return;
      case "examined":
        remember(this.examinedFiles, keyOf(item), item.examined);
        this.onAnswer(keyOf(item));
        return;
      case "container":
        remember(this.containers, item.id, item.image === undefined ? undefined : item);
        this.onAnswer(imageKey(item.id));
        return;
      case "changed": {
        const key = changedKey(item);
        remember(this.changedFiles, key, item);
        this.onAnswer(key);
        return;
      }
      case "peer":
        this.peer = item;
        return;
      case "forget":
        if (item.what === "user_names") this.users.clear();
        else if (item.what === "examined") this.examinedFiles.clear();
        else this.containers.clear();
        return;
      case "text":
        this.takeText(item);
        return;
      default:
        this.tracker.handle(item);
    }
  }

  userName(uid: number): string | undefined {
    return this.users.get(uid);
  }

  /** What the host's examiner had answered about the file that is run; undefined: nothing yet. */
  examined(facts: ProcessFacts): ExaminedFile | undefined {
    const key = keyOfExecutable(facts);
    return key === undefined ? undefined : this.examinedFiles.get(key);
  }

  /** Names of the examiner's answers that an exec lacks. */
  awaited({ containerId, examined, facts }: ExecSubject): readonly string[] {
    if (typeof containerId === "string")
      return this.imageOf(containerId) === undefined ? [imageKey(containerId)] : [];
    const key = keyOfExecutable(facts);
    return containerId === undefined || examined !== undefined || key === undefined ? [] : [key];
  }

  /** What the warden knew of the peer of an event; undefined: the capture does not have it. */
  takePeer({ pid, time }: Pick<PeerItem, "pid" | "time">): PeerItem | undefined {
    const { peer } = this;
    this.peer = undefined;
    return peer?.pid === pid && peer.time === time ? peer : undefined;
  }

  /** What the warden knew of the content of what an exec runs; undefined: nothing, or it did not matter. */
  takeChanged(exec: ExecKey): ChangedItem | undefined {
    const key = changedKey(exec);
    const item = this.changedFiles.get(key);
    this.changedFiles.delete(key);
    return item;
  }

  /** The image of a container; null: not known; undefined: it was not known yet. */
  imageOf(container: string): string | null | undefined {
    const captured = this.containers.get(container);
    return captured === undefined ? this.unknownImage : captured.image;
  }

  /** The pod of a container; null: none; undefined: that was not known. */
  podOf(container: string): PodOfContainer | null | undefined {
    return this.containers.get(container)?.pod;
  }

  /** Seconds since the epoch of an event's time. */
  secondOf(time: number): number {
    return Math.floor((time + this.wallOffset) / 1e9);
  }

  /** What the host's baseline knew of an exec. */
  lookUp({ process: { lineage }, facts, tree, time }: KnowableExec & Pick<Execution, "time">): Knowledge {
    return this.accepted.lookUp(lineage, tree, this.scopeOf(lineage, facts), this.secondOf(time));
  }

  /** The scope that a program ran in; `pending`: the image of its container was not known yet. */
  scopeOf(lineage: Lineage, facts: ProcessFacts): ScopeOrPending {
    const { container } = lineage;
    return this.accepted.scopeOf(lineage, facts, container === null ? null : this.imageOf(container));
  }

  private takeScan({ processes, time }: ScanItem): void {
    this.missing = this.tracker.reconcile(processes, time).missing;
    this.scanned = true;
  }

  private takeText({ name, text }: TextItem): void {
    if (name === captureTexts.base) this.identify = identifierOf(text);
    else if (name === captureTexts.forest) this.restore(text);
    else if (name === captureTexts.policy) this.policy = this.other?.policy ?? policyOf(text);
    else if (name === captureTexts.exclusions) this.accepted.exclusions = exclusionsOf(text);
    else if (name === captureTexts.baselinesInForce)
      this.accepted.baseline = this.baselineOf(read(name, () => namesIn(text))) ?? null;
    else if (isBaseline(name)) this.keepBaseline(name, text);
    else throw new Malformed("a text has no name that this version knows");
  }

  private restore(text: string): void {
    if (this.tracker.forest.size > 0) throw new Malformed("a forest must come before the first process");
    read(captureTexts.forest, () => restoreSnapshot(this.tracker.forest, text, decodeRunnable));
  }

  private keepBaseline(name: string, text: string): void {
    this.baselines.set(name, text);
    let characters = 0;
    for (const each of this.baselines.values()) characters += each.length;
    if (characters > BASELINES_LIMIT) throw new Malformed("baselines are too long");
  }

  /** The baselines of these names as one. Another policy brings those of its roles in place of the captured ones. */
  private baselineOf(names: readonly string[]): Baseline | undefined {
    const inForce = this.other === undefined ? names : names.filter((name) => !isRoleBaseline(name));
    const ofRoles = this.other?.baselines ?? [];
    const own = inForce.filter((name) => name !== baselineTexts.own);
    if (own.length === 0 && ofRoles.length === 0) return undefined;
    const baseline = new Baseline();
    for (const name of inForce) {
      const text = this.baselines.get(name);
      if (text === undefined) throw new Malformed(`there is no text ${name}`);
      addTo(baseline, name, Buffer.from(text));
    }
    for (const { file, bytes } of ofRoles) addTo(baseline, file, bytes);
    return baseline;
  }
}

/** What names programs by the base list in a capture's text. Throws Malformed. */
export function identifierOf(text: string): (facts: ProcessFacts) => Runnable {
  const base = parseBase(text);
  if (base === undefined) throw new Malformed("its base list cannot be read");
  return identifyAccounted(createIdentifier({ base }));
}

function addTo(baseline: Baseline, name: string, bytes: Uint8Array): void {
  const result = readBaseline(bytes, (entry) => baseline.add(entry));
  if (!result.ok) throw new Malformed(`${name} is no baseline: ${result.errors[0]?.message ?? ""}`);
}

/** The key of the file that a process runs; undefined if it is not known well enough. */
function keyOfExecutable({ executable: path, device, inode }: ProcessFacts): string | undefined {
  if (path === undefined || device === undefined || inode === undefined) return undefined;
  return keyOf({ path, device, inode });
}

/** The name of the answer whether what an exec runs is changed. */
export function changedKey({ pid, time }: ExecKey): string {
  return `changed:${pid}:${time}`;
}

function keyOf({ path, device, inode }: Pick<ExaminedItem, "path" | "device" | "inode">): string {
  return `${device}:${inode}:${path}`;
}

/** undefined: nothing is known any more. */
function remember<K, V>(answers: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) {
    answers.delete(key);
    return;
  }
  if (answers.size >= ANSWERS_LIMIT && !answers.has(key))
    throw new Malformed("more names than a reader can remember");
  answers.set(key, value);
}

/** What `parse` makes of a text, which is whatever the capture's writer liked. */
function read<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Malformed(`its text ${name} cannot be read: ${why.slice(0, 500)}`);
  }
}

function namesIn(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
    throw new Error("not a list of names");
  return value;
}

function policyOf(text: string): Policy {
  const file = "policy-of-the-capture.json";
  const result = loadPolicies([file], {
    read: (path) => (path === file ? new TextEncoder().encode(text) : undefined),
    embedded: new Map(),
    searchPath: [],
    // They were checked on the host of the capture.
    environmentNames: "any",
  });
  if (result.policy !== undefined) return result.policy;
  const [first] = result.errors;
  throw new Malformed(`its policy cannot be loaded: ${first === undefined ? "" : formatPolicyError(first)}`);
}

function exclusionsOf(text: string): Exclusions {
  if (text === "") return new Exclusions([], globCompilers);
  const result = parseExclusions(text, globCompilers);
  if (result.ok) return new Exclusions(result.value, globCompilers);
  throw new Malformed(`its exclusions cannot be read: ${result.errors[0]?.message ?? ""}`);
}
