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
import type { ProcessEvent } from "../../event.ts";
import type { NetworkDenials } from "../../network/denial.ts";
import type { NetworkWatch } from "../../network/watch.ts";
import { SensorUnavailable } from "../../unavailable.ts";
import { KernelDenials } from "./denials.ts";
import { networkPage } from "./layout.ts";
import { HookRefused, NetworkPrograms, SESSIONS } from "./programs.ts";
import { UdpSessions } from "./sessions.ts";

/** Interval, in ns, at which idle UDP sessions are looked for, and the kernel's count of skipped program runs is read. */
const INTERVAL_NS = 1e9;

export class NetworkSource implements Disposable {
  readonly sessions: UdpSessions;
  private readonly ring: BpfMap;
  private readonly cgroup: string | undefined;
  private programs: NetworkPrograms | undefined;
  private kernelDenials: KernelDenials | undefined;
  private lostSeen = 0;
  private missed = 0;
  private lookedAt = 0;

  /** `cgroup`: the directory of the control group whose processes are watched; by default the root, for all. */
  constructor(ring: BpfMap, cgroup: string | undefined) {
    this.ring = ring;
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

  /** Emits what was lost and what has ended by itself; to be called at each drain. `now`: ns of CLOCK_MONOTONIC. */
  tick(now: number, sink: (event: ProcessEvent) => void): void {
    const { programs } = this;
    if (programs === undefined) return;
    const isDue = now - this.lookedAt >= INTERVAL_NS;
    if (isDue) {
      this.lookedAt = now;
      this.missed = programs.missed;
      this.sessions.endIdle(now, sink);
    }
    const lost = (programs.page.words[networkPage.lost >>> 2] ?? 0) + this.missed;
    const count = (lost - this.lostSeen) >>> 0;
    this.lostSeen = lost;
    if (count > 0) sink({ kind: "loss", source: "ebpf", time: now, reason: "network", count });
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  private start(watch: NetworkWatch, cgroup: number): void {
    if (this.programs === undefined) {
      const programs = new NetworkPrograms(this.ring);
      this.programs = programs;
      this.kernelDenials = new KernelDenials(programs, programs.page.words);
      this.lostSeen = 0;
      this.missed = 0;
    }
    this.programs.watch(watch, cgroup);
  }

  private stop(): void {
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
      "mount it: mount -t cgroup2 none /sys/fs/cgroup/unified",
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
