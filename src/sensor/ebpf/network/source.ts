// The network's part of the eBPF sensor: its programs while it is watched, the ends of UDP sessions, what was lost, and
// why it cannot be watched.
import { closeSync, openSync } from "node:fs";
import { BtfError } from "../../../linux/bpf/btf.ts";
import { programsAt } from "../../../linux/bpf/cgroup-link.ts";
import { withLockedMemory } from "../../../linux/bpf/locked-memory.ts";
import type { BpfMap } from "../../../linux/bpf/map.ts";
import { type BpfProgram, VerifierError } from "../../../linux/bpf/program.ts";
import { findUnifiedHierarchy } from "../../../linux/cgroup-mount.ts";
import { EPERM, SystemCallError } from "../../../linux/libc.ts";
import { messageOf } from "../../../vocabulary/errors.ts";
import type { ProcessEvent } from "../../event.ts";
import type { NetworkDenials } from "../../network/denial.ts";
import type { NetworkWatch } from "../../network/watch.ts";
import { WITHOUT_WARDEN_MS } from "../../prevention/options.ts";
import { SensorUnavailable } from "../../unavailable.ts";
import { missedEvents } from "../copies.ts";
import type { KeptGroups } from "../kept-objects.ts";
import { KernelDenials } from "./denials.ts";
import { readNetworkKernelLayout } from "./kernel.ts";
import { networkPage } from "./layout.ts";
import { digestOfNetwork, HookRefused, NetworkPrograms, SESSIONS } from "./programs.ts";
import { UdpSessions } from "./sessions.ts";
import { storageProblem } from "./storage-problem.ts";

/** Interval, in ns, at which idle UDP sessions are looked for, and the kernel's count of skipped program runs is read. */
const INTERVAL_NS = 1e9;

export class NetworkSource implements Disposable {
  readonly sessions: UdpSessions;
  private readonly ring: BpfMap;
  private readonly cgroup: string | undefined;
  private readonly kept: KeptGroups;
  private readonly denialLimitMs: number;
  private programs: NetworkPrograms | undefined;
  private kernelDenials: KernelDenials | undefined;
  private lostSeen = 0;
  private missed = 0;
  private lookedAt = 0;

  /**
   * `cgroup`: the directory of the control group whose processes are watched; by default the root, for all. `kept`: has
   * what an earlier process has left, and gets what is to be kept. `denialLimitMs`: see `EbpfOptions`.
   */
  constructor(ring: BpfMap, cgroup: string | undefined, kept: KeptGroups, denialLimitMs = WITHOUT_WARDEN_MS) {
    this.ring = ring;
    this.denialLimitMs = denialLimitMs;
    this.kept = kept;
    this.cgroup = cgroup;
    this.sessions = new UdpSessions(
      {
        lookup: (key, value) => this.programs?.sessions.lookup(key, value) ?? false,
        delete: (key) => this.programs?.sessions.delete(key) ?? false,
      },
      SESSIONS,
    );
  }

  /** The programs that are attached, by their names. */
  get attached(): ReadonlyMap<string, BpfProgram> {
    return this.programs?.attached ?? new Map();
  }

  /** Takes note of the exit of a process. */
  exited(pid: number): void {
    this.kernelDenials?.exited(pid);
  }

  /** The names of the programs that the kernel does not run any more, although they are attached. */
  detached(): readonly string[] {
    return this.programs?.detached() ?? [];
  }

  get denials(): NetworkDenials | undefined {
    return this.kernelDenials;
  }

  /** See `Sensor.watchNetwork`. */
  watch(watch: NetworkWatch | undefined): void {
    if (watch === undefined || watch.kinds.length === 0) {
      this.stop();
      return;
    }
    const cgroup = openSync(this.cgroup ?? rootCgroup(), "r");
    try {
      withLockedMemory(() => this.start(watch, cgroup));
    } catch (error) {
      this.stop();
      throw refusal(error, cgroup);
    } finally {
      closeSync(cgroup);
    }
  }

  /** The ring is read from here on: the next record that finds it filled may wake the reader. */
  beginReading(): void {
    if (this.programs !== undefined) this.programs.page.words[networkPage.woken >>> 2] = 0;
  }

  /** Emits what was lost and what has ended by itself; to be called at each drain. `now`: ns of CLOCK_MONOTONIC. */
  tick(now: number, sink: (event: ProcessEvent) => void): void {
    const { programs } = this;
    if (programs === undefined) return;
    const isDue = now - this.lookedAt >= INTERVAL_NS;
    if (isDue) {
      this.lookedAt = now;
      this.missed = missedEvents(programs.attached);
      this.sessions.endOverdue(now, sink);
    }
    const lost = (programs.page.words[networkPage.lost >>> 2] ?? 0) + this.missed;
    const count = (lost - this.lostSeen) >>> 0;
    this.lostSeen = lost;
    programs.page.words[networkPage.lostReported >>> 2] = lost;
    if (count > 0) sink({ kind: "loss", source: "ebpf", time: now, reason: "network", count });
  }

  /** Ends it here; what is kept goes on without this process. */
  [Symbol.dispose](): void {
    this.end();
  }

  private start(watch: NetworkWatch, cgroup: number): void {
    if (this.programs === undefined) {
      const kernel = readNetworkKernelLayout();
      const programs = this.kept.load(
        "network",
        (build) => digestOfNetwork(kernel, this.ring.spec.entries, build),
        (left) => new NetworkPrograms(kernel, this.ring, left),
      );
      const { words } = programs.page;
      this.programs = programs;
      this.kernelDenials = new KernelDenials(
        programs,
        programs.page,
        this.denialLimitMs,
        programs.isInherited,
      );
      this.kernelDenials.onDeniedPeers = () => this.guard();
      this.kernelDenials.findProblem = () => storageProblem(programs.storage);
      this.lostSeen = words[networkPage.lostReported >>> 2] ?? 0;
      this.missed = 0;
    }
    this.programs.watch(watch, cgroup);
    const { longestSession } = watch;
    this.sessions.longestNs = longestSession === undefined ? Number.POSITIVE_INFINITY : longestSession * 1e9;
    this.kept.keep("network", this.programs.descriptors);
  }

  /** Where the kernel refuses it, calls are denied all the same. */
  private guard(): void {
    const { programs, kernelDenials } = this;
    if (programs === undefined || kernelDenials === undefined || programs.isGuarded) return;
    const cgroup = openSync(this.cgroup ?? rootCgroup(), "r");
    try {
      withLockedMemory(() => programs.guard(cgroup));
      this.kept.keep("network", programs.descriptors);
    } catch (error) {
      // Where every call is refused, nothing is left that such packets could evade.
      kernelDenials.problem ??= `packets with a source route evade what is denied: ${messageOf(refusal(error, cgroup))}`;
    } finally {
      closeSync(cgroup);
    }
  }

  private stop(): void {
    this.end();
    this.kept.drop("network");
  }

  private end(): void {
    this.programs?.[Symbol.dispose]();
    this.programs = undefined;
    this.kernelDenials = undefined;
    this.sessions.clear();
  }
}

/** The root of the unified hierarchy. Throws SensorUnavailable if it is not visible. */
function rootCgroup(): string {
  const hierarchy = findUnifiedHierarchy();
  if (hierarchy === undefined) {
    throw new SensorUnavailable(
      "the unified hierarchy of control groups is not mounted",
      "mount it: with OpenRC by rc-service cgroups start, else by mount -t cgroup2 none /sys/fs/cgroup/unified",
    );
  }
  if (!hierarchy.isWhole) {
    throw new SensorUnavailable(
      `only a part of the control groups is visible (${hierarchy.path} is not the host's root)`,
      "run treewarden on the host, or in its cgroup namespace (docker run --cgroupns=host)",
    );
  }
  return hierarchy.path;
}

function refusal(error: unknown, cgroup: number): unknown {
  const cause = { cause: error };
  if (error instanceof HookRefused && error.cause instanceof SystemCallError && error.cause.errno === EPERM) {
    const others = programsAt(error.hook, cgroup).map(({ id, name }) => `${name ?? "?"} (id ${id})`);
    return new SensorUnavailable(
      `another program has the hook ${error.hook} of the root control group exclusively: ${others.join(", ") || "not visible"}`,
      "attach that program with BPF_F_ALLOW_MULTI, or below the root",
      cause,
    );
  }
  if (error instanceof BtfError)
    return new SensorUnavailable(error.message, "the network is watched from Linux 5.12 on", cause);
  const failed = error instanceof HookRefused ? error.cause : error;
  if (!(failed instanceof SystemCallError || failed instanceof VerifierError)) return error;
  const hint =
    failed.errno === EPERM
      ? "run as root, or give it CAP_NET_ADMIN besides CAP_BPF and CAP_PERFMON"
      : "the network is watched from Linux 5.12 on, with CONFIG_CGROUP_BPF=y";
  return new SensorUnavailable(`eBPF: ${failed.message}`, hint, cause);
}
