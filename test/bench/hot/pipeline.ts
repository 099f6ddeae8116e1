// The hot path as the warden joins it, with neither sensor nor kernel: decoder, forest, fingerprint, baseline, policy,
// records. Everything is made here, so that a change of the warden's own wiring is one place to follow.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBaseline } from "../../../src/baseline/baseline-file.ts";
import { type BaselineEntry, keyText } from "../../../src/baseline/entry.ts";
import { executableOf, joinExecutables } from "../../../src/baseline/executables.ts";
import { keyOf, Scopes } from "../../../src/baseline/key.ts";
import { ProcessKiller } from "../../../src/enforcement/kill.ts";
import { KillBudget } from "../../../src/enforcement/kill-budget.ts";
import { StoppedTrees } from "../../../src/enforcement/stopped-trees.ts";
import { createIdentifier } from "../../../src/fingerprint/identify.ts";
import type { Tree } from "../../../src/fingerprint/tree.ts";
import { monotonicNow } from "../../../src/linux/clock.ts";
import { closeDescriptor } from "../../../src/linux/descriptor.ts";
import { socketPair, trySend } from "../../../src/linux/socketpair.ts";
import { embeddedPolicies } from "../../../src/policy/embedded.ts";
import { loadPolicies } from "../../../src/policy/load.ts";
import type { Policy } from "../../../src/policy/policy.ts";
import { JournalChain } from "../../../src/report/journal-chain.ts";
import { Outbox } from "../../../src/report/outbox.ts";
import { redactArguments } from "../../../src/report/redaction/arguments.ts";
import { RepeatedVerdicts } from "../../../src/report/repeated-verdicts.ts";
import { recordUids } from "../../../src/report/stamp.ts";
import { Totals } from "../../../src/report/totals.ts";
import { TreeTotals } from "../../../src/report/tree-totals.ts";
import { Decoder } from "../../../src/sensor/ebpf/decode.ts";
import type { ProcessEvent } from "../../../src/sensor/event.ts";
import { writeNow } from "../../../src/warden/atomic-file-writer.ts";
import { ChangedRunnables } from "../../../src/warden/changed-runnables.ts";
import { Epoch } from "../../../src/warden/epoch.ts";
import { KnownTrees } from "../../../src/warden/known-trees.ts";
import { Learner } from "../../../src/warden/learner.ts";
import { LimitedKills } from "../../../src/warden/limited-kills.ts";
import { LoadShedding } from "../../../src/warden/load-shedding.ts";
import { NewTrees } from "../../../src/warden/new-trees.ts";
import { RunnableContents } from "../../../src/warden/runnable-contents.ts";
import { type Execution, Tracker, type TrackerListener } from "../../../src/warden/tracker.ts";
import { VerdictHandler } from "../../../src/warden/verdict-handler.ts";
import { VerdictTotals } from "../../../src/warden/verdict-totals.ts";

/** 2026-01-31T12:00:00Z less the stream's first minute: CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
const WALL_OFFSET = Date.UTC(2026, 0, 31, 12) * 1e6 - 60e9;
/** Trees of the baseline that this stream never shows: some thousand trees are what a role with several hosts has. */
const OTHER_TREES = 4_000;
const GENERATION = 1;
const SEND_BUFFER = 1 << 20;
const imageOf = (): string => "registry.example.org/shop/api";

/** What the examiner has of most files. */
const examined = { package: "some-package", unpackaged: false, modified: false, digest: undefined };

const users: Readonly<Record<number, string>> = { 0: "root", 33: "www-data", 1000: "admin" };
const userName = (uid: number): string | undefined => users[uid];

function rolePolicy(): Policy {
  const { policy, errors } = loadPolicies(["web"], {
    read: () => undefined,
    embedded: embeddedPolicies,
    searchPath: [],
  });
  if (policy === undefined) throw new Error(JSON.stringify(errors));
  return policy;
}

/** A tracker whose execs go to `onExec` only. */
function tracking(
  totals: Totals,
  trees: TreeTotals,
  isKnown: (tree: Tree) => boolean,
  listener: TrackerListener,
) {
  return new Tracker({ identify: createIdentifier(), totals, trees, suspendedNs: 0, isKnown }, listener);
}

/** Collects the trees that a host runs, as a baseline has them. */
export class Lesson {
  readonly decoder = new Decoder({ audit: true, cgroups: true });
  private readonly entries = new Map<string, BaselineEntry>();
  private readonly scopes = new Scopes();
  private readonly tracker: Tracker;

  constructor() {
    const totals = new Totals();
    const trees = new TreeTotals(totals, { mode: "off", limit: 1 });
    const ignored = (): void => {};
    const listener = {
      onFork: ignored,
      onExit: ignored,
      onNetwork: ignored,
      onClose: ignored,
      onLoss: ignored,
    };
    this.tracker = tracking(totals, trees, () => false, { ...listener, onExec: (exec) => this.learn(exec) });
  }

  handle(event: ProcessEvent): void {
    this.tracker.handle(event);
  }

  /** The baseline's file, with trees of other hosts in it. */
  file(): Uint8Array {
    const learned = [...this.entries.values()];
    const [sample] = learned;
    if (sample === undefined) throw new Error("nothing was learned");
    for (let i = 0; i < OTHER_TREES; i++) {
      const name = `tool${i}`;
      const exact = `/other${i % 50}/base/${name}`;
      learned.push({
        ...sample,
        scope: `other${i % 50}.service`,
        exact,
        tree: exact,
        path: `/usr/bin/${name}`,
      });
    }
    const created = sample.first;
    const header = { role: undefined, hosts: ["bench"], created, learnedFrom: created, learnedTo: created };
    return Buffer.from(formatBaseline({ header, entries: learned }));
  }

  private learn({ process, facts, tree }: Execution): void {
    const { lineage } = process;
    const scope = this.scopes.of(facts.cgroup, lineage.container, imageOf());
    const key = scope === undefined ? undefined : keyOf(lineage, scope, tree);
    if (key === undefined) return;
    const first = WALL_OFFSET / 1e9;
    const text = keyText(key);
    const executable = facts.executable === undefined ? undefined : executableOf(facts.executable);
    const executables = executable === undefined ? [] : [executable];
    this.entries.set(text, {
      ...key,
      exact: tree.exact,
      beforeHabits: false,
      fromMain: false,
      tree: tree.path,
      complete: tree.complete,
      first,
      last: first,
      count: 1,
      users: [...new Set(tree.userIds)].sort((a, b) => a - b).slice(0, 16),
      hosts: 1,
      executables: joinExecutables(executables, this.entries.get(text)?.executables ?? []),
      contents: "packaged",
      arguments: undefined,
    });
  }
}

export class Pipeline implements Disposable {
  readonly decoder = new Decoder({ audit: true, cgroups: true });
  /** ns, CLOCK_MONOTONIC, of the last event. */
  private time = 0;
  private readonly tracker: Tracker;
  private readonly outbox: Outbox;
  private readonly reporterFd: number;
  private readonly wardenFd: number;
  private readonly directory = mkdtempSync(join(tmpdir(), "hot-"));

  /** `baseline`: the file of one. */
  constructor(baseline: Uint8Array) {
    const policy = rolePolicy();
    const totals = new Totals();
    [this.wardenFd, this.reporterFd] = socketPair(SEND_BUFFER);
    this.outbox = new Outbox({
      fd: this.wardenFd,
      totals,
      chain: new JournalChain(new Uint8Array(32), { run: "1", generation: GENERATION }, undefined),
      hello: () => ({
        type: "hello",
        run: "1",
        generation: GENERATION,
        version: "1",
        started: "2026-01-31T12:00:00Z",
        source: "ebpf",
        enforcement: "observe",
        policies: [],
      }),
    });
    const parts = {
      stateDirectory: this.directory,
      recordChange: () => undefined,
      writeFile: writeNow,
      now: () => this.second(),
      moment: () => ({ wall: this.second(), boot: "", boottime: this.second() }),
    };
    const knownTrees = new KnownTrees({
      ...parts,
      ofRoles: [{ role: "web", file: "web.baseline", digest: "", trees: 0, bytes: baseline }],
      epoch: new Epoch(),
      imageOf,
    });
    const learner = new Learner({
      ...parts,
      identify: createIdentifier(),
      redact: redactArguments,
      knownTrees,
      origin: "bench:1",
      reportLearned: () => false,
      unconfirmedTrees: () => 0,
      look: () => undefined,
    });
    const changes = new ChangedRunnables({
      contents: new RunnableContents({ questions: { ask: () => undefined }, now: () => this.time }),
      permitted: () => policy.digests,
      isWanted: (path) => learner.wantsContent(path),
      onContent: () => undefined,
      onChanged: () => undefined,
    });
    const trees = new TreeTotals(totals);
    this.tracker = tracking(totals, trees, (tree) => knownTrees.isFamiliar(tree), {
      onFork: (child) => verdicts.onFork(child),
      onExec: (exec) => verdicts.onExec(exec),
      onExit: (process, tree, event) => verdicts.onExit(process, tree, event),
      onNetwork: () => undefined,
      onClose: () => undefined,
      onLoss: (event) => verdicts.onLoss(event),
    });
    const signals = {
      now: () => 0,
      startTicks: () => undefined,
      wallNow: () => 0,
      send: () => "gone" as const,
      release: () => "gone" as const,
      isOwnProcess: () => false,
    };
    const inputs = { bootTimeMs: WALL_OFFSET / 1e6, userName, imageOf, examined: () => examined };
    const stamp = recordUids(new Uint8Array(5));
    const repeatedVerdicts = new RepeatedVerdicts({
      report: (record, room) => this.outbox.reliable(record, room),
      offer: (record, room) => this.outbox.offer(record, room),
      stamp,
      seed: 1,
    });
    const killer = new ProcessKiller(this.tracker.forest, signals, new KillBudget(0), new StoppedTrees(), {
      spareBefore: 0,
    });
    const verdicts = new VerdictHandler({
      ...inputs,
      repeatedVerdicts,
      policy: { current: policy },
      enforcement: { mayAct: false, states: new Map(), refresh: () => false },
      killer,
      kills: new LimitedKills(killer, () => undefined),
      verdicts: new VerdictTotals(totals),
      outbox: this.outbox,
      totals,
      stamp,
      newTrees: new NewTrees(),
      load: new LoadShedding({ recordChange: () => undefined }),
      knowledgeOf: (exec) => knownTrees.lookUp(exec, this.second()),
      changes,
      learnFrom: (exec, knowledge) => learner.onExec(exec, knowledge),
      onLoss: () => undefined,
      settle: () => undefined,
    });
    verdicts.settling = true;
    verdicts.wallOffset = WALL_OFFSET;
    this.decoder.realtime = WALL_OFFSET;
  }

  readonly handle = (event: ProcessEvent): void => {
    this.time = event.time;
    this.tracker.handle(event);
  };

  /** The reporter has every record: between rounds, so that the queue is as long as on a host. */
  acknowledge(): void {
    const request = JSON.stringify({ type: "ack", generation: GENERATION, n: Number.MAX_SAFE_INTEGER });
    trySend(this.reporterFd, Buffer.from(request));
    this.outbox.receive(() => ({ alive: true, reason: "", degraded: [] }));
  }

  /** The stream's own time passes, a host's and not the benchmark's; the clock is read as the warden does. */
  private second(): number {
    monotonicNow();
    return Math.floor((this.time + WALL_OFFSET) / 1e9);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.wardenFd);
    closeDescriptor(this.reporterFd);
    rmSync(this.directory, { recursive: true });
  }
}
