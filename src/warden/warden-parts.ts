// The parts that the warden's loop connects, built in the order in which they need each other.

import { destinationOf } from "../baseline/destination.ts";
import { wardenOrigin } from "../baseline/learned-seal.ts";
import { ExaminerClient } from "../examiner/client.ts";
import { imageKey } from "../fingerprint/image-reference.ts";
import { encodeRunnable } from "../fingerprint/saved-runnable.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { snapshotForest } from "../forest/forest-snapshot.ts";
import type { Process } from "../forest/process.ts";
import {
  bootTimeMs,
  boottimeNow,
  monotonicNow,
  realtimeNow,
  suspendedFor,
  wallClockOffset,
} from "../linux/clock.ts";
import { Poll } from "../linux/epoll.ts";
import { readProcessCost } from "../linux/proc/cost.ts";
import { bootId } from "../linux/process.ts";
import { bootTicks } from "../linux/ticks.ts";
import type { Decision } from "../policy/policy.ts";
import type { Subject } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import { sealAsNumber } from "../report/journal-chain.ts";
import { Outbox } from "../report/outbox.ts";
import { records } from "../report/records.ts";
import { createArgumentRedaction } from "../report/redact.ts";
import { RepeatedVerdicts } from "../report/repeated-verdicts.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import { version } from "../report/version.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import { AncestorRecords } from "./ancestor-records.ts";
import { AtomicFileWriter, type WriteFile, writeNow } from "./atomic-file-writer.ts";
import { formatBase } from "./base-file.ts";
import { BaseList } from "./base-list.ts";
import { captureHeader, captureRedaction } from "./capture-header.ts";
import { ChainStore } from "./chain-store.ts";
import { ChangedRunnables } from "./changed-runnables.ts";
import { closingTexts } from "./closing-text.ts";
import { DenialsInForce } from "./denials-in-force.ts";
import { buildEnforcement } from "./enforcement-parts.ts";
import { Epoch } from "./epoch.ts";
import { EventSource } from "./event-source.ts";
import { FilesInForce } from "./files-in-force.ts";
import { ForestStore } from "./forest-store.ts";
import { Heartbeat } from "./heartbeat.ts";
import { buildKill } from "./kill-parts.ts";
import { type KnowableExec, KnownTrees } from "./known-trees.ts";
import { LateVerdicts } from "./late-verdicts.ts";
import { Learner } from "./learner.ts";
import { LimitedKills } from "./limited-kills.ts";
import { LoadShedding } from "./load-shedding.ts";
import { NetworkHandler } from "./network-handler.ts";
import { factsOf, processSubject } from "./network-subject.ts";
import { NewTrees } from "./new-trees.ts";
import { momentNow } from "./overrides-store.ts";
import { OwnCost } from "./own-cost.ts";
import { ownMailTrees } from "./own-processes.ts";
import { PolicyInForce } from "./policy-in-force.ts";
import { buildPrevention } from "./prevention-parts.ts";
import { RecentExecs } from "./recent-execs.ts";
import { ReportLink } from "./report-link.ts";
import { Rescan } from "./rescan.ts";
import { RunnableContents } from "./runnable-contents.ts";
import { rememberBoot, type SavedState } from "./saved-state.ts";
import { SelfWatch } from "./self-watch.ts";
import { SignedPolicies } from "./signed-policies.ts";
import { SlicedWork } from "./sliced-work.ts";
import { StatusReport } from "./status-report.ts";
import { Tracker } from "./tracker.ts";
import { UnreadableProcesses } from "./unreadable-processes.ts";
import { nameBudget, networkRecordBudget, UserBudget } from "./user-budget.ts";
import { readUserNames } from "./user-names.ts";
import { contentKey, VerdictHandler } from "./verdict-handler.ts";
import { VerdictTotals } from "./verdict-totals.ts";
import { WardenCapture } from "./warden-capture.ts";
import type { LoadedPolicy, WardenOptions } from "./warden-options.ts";
import { WardenRequests } from "./warden-requests.ts";

/** Tokens of the poll: which descriptor is ready. */
export const pollTokens = { sensor: 1, control: 2, report: 3, examiner: 4, files: 5, mounts: 6 } as const;

export type WardenParts = ReturnType<typeof buildWardenParts>;

/**
 * Opens the event source and builds every part; nothing is judged yet. A function that a part is given may use a part
 * that is built further down, because it is called from the loop only. `saved`: what was
 * reported before. Throws if there is no event source.
 */
export function buildWardenParts(
  options: WardenOptions,
  { policy, baselines, signed, hostNames }: LoadedPolicy,
  saved: Pick<SavedState, "trees" | "changed"> | undefined,
) {
  const { config, run } = options;
  const stateDirectory = config.state_directory;
  const generation = Math.floor(boottimeNow() / 1e6);
  const started = realtimeNow();
  const poll = new Poll();
  const epoch = new Epoch();
  const rescan = new Rescan();
  const fileWriter = new AtomicFileWriter();
  const loop = { hasBegun: false };
  /** Set by the loop, which reloads. */
  const reload: { onRequest: (name: string) => void } = { onRequest: () => undefined };
  const work = new SlicedWork();
  const users = { nameOf: readUserNames() };
  /** Names of addresses in force. */
  const hosts = { names: hostNames };
  const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  const totals = new Totals({ isExponential: options.exponentialHistograms });
  const trees = new TreeTotals(totals, { mode: config.metrics.trees, limit: config.metrics.max_trees });
  const unreadable = new UnreadableProcesses({
    now: monotonicNow,
    record: (details) => recordChange("process.unreadable", details),
  });
  const reader =
    options.succession?.reader ??
    new FactsReader({
      argumentBytes: config.arguments.limit,
      onUnreadable: (pid, realUid) => unreadable.add(pid, realUid),
    });
  let { opened } = options.succession ?? {};
  const boot = rememberBoot(stateDirectory, {
    bootId: bootId(),
    bootTimeMs: bootTimeMs(),
    firstStartTicks: bootTicks(boottimeNow()),
  });

  const source = new EventSource({
    config,
    poll,
    token: pollTokens.sensor,
    totals,
    epoch,
    open(choice, lastResort) {
      const prepared = opened;
      opened = undefined;
      return prepared ?? options.openSensor(choice, reader, lastResort);
    },
  });
  const policyInForce = new PolicyInForce(policy, totals);
  for (const { signals } of options.outputProblems)
    for (const signal of signals) totals.gauge("outputDisabled", { signal }).set(1);
  const degradedReasons = totals.gauge("degradedReasons", {});
  const killBudgetRemaining = totals.gauge("killBudgetRemaining", {});
  const preventMismatches = totals.counter("preventMismatches", {});
  const closedProcesses = totals.gauge("closedProcesses", {});
  const journalHead = totals.gauge("journalHead", {});
  const chainStore = new ChainStore({
    stateDirectory,
    origin: { run, generation },
    writeFile: (...file) => fileWriter.write(...file),
    recordChange: (...change) => recordChange(...change),
  });
  const { chain } = chainStore;
  const ownCost = new OwnCost({
    totals,
    read: readProcessCost,
    now: monotonicNow,
    startTicks: readProcessCost(process.pid)?.startTicks ?? 0,
  });
  const outbox = new Outbox({
    fd: options.reportFd,
    totals,
    chain,
    hello: () => ({
      type: "hello",
      run,
      generation,
      version,
      started: new Date(started / 1e6).toISOString(),
      source: source.name,
      enforcement: source.enforcement,
      policies: [policyInForce.summary()],
    }),
    beforeTotals: () => {
      trees.expire();
      tracker.publishLastEvent(wallClockOffset());
      killBudgetRemaining.set(killer.budgetRemaining);
      if (chain.head !== undefined) journalHead.set(sealAsNumber(chain.head.seal));
      knownTrees.publishInfo(totals);
      ownCost.measure();
      degradedReasons.set(statusReport.degraded().length);
      closedProcesses.set(closings.closedProcesses);
    },
  });
  const link = new ReportLink(poll, pollTokens.report, options.reportFd, outbox);
  const recordChange = (event: ChangeName, details: EventRecord): void => {
    outbox.reliable(records.change(event, details, realtimeNow(), stamp));
  };
  recordChange("warden.started", {
    "sensor.source": source.name,
    "sensor.reason": source.why,
    "policy.enforcement": config.enforcement,
    "security_rule.ruleset.name": policy.role,
    "security_rule.version": policy.version,
  });

  // Until the first program is judged the disk may be waited for: a request that was taken is not lost by a kill -9.
  const writeFile: WriteFile = (...file) => (loop.hasBegun ? fileWriter.write(...file) : writeNow(...file));
  const { observation, confirmed, enforcement } = buildEnforcement({
    config,
    policy,
    totals,
    recordChange,
    writeFile,
    // What the kernel ends by itself must not go on by the orders before.
    onRefreshed: () => applyEnforcement(),
  });
  const files = new FilesInForce(
    { stateDirectory, startConfig: options.startConfig, totals, writeFile, recordChange },
    options.lastGood,
  );
  if (files.current.problems.length > 0)
    recordChange("configuration.rejected", {
      "policy.severity": "high",
      "configuration.errors": files.current.problems,
    });
  const signedPolicies = new SignedPolicies({ stateDirectory, recordChange, writeFile });
  signedPolicies.remember(signed);
  const names = new UserBudget({
    ...nameBudget,
    now: monotonicNow,
    refused: totals.counter("namesUnscored", {}),
  });
  const load = new LoadShedding({ recordChange });
  const mayScore = (uid: number | undefined): boolean => names.take(uid, load.shedsScoring);
  const baseList = new BaseList({ stateDirectory, recordChange, writeFile, epoch, mayScore });
  const examiner = new ExaminerClient(options.examinerFd, generation, {
    base: (base) => baseList.replace(base),
    examined: (path, examined) => learner.onExamined(path, examined),
    changed: (what) => {
      if (what === "packages") contents.forgetAll();
      epoch.raise(what);
    },
    answered: (key) => late.answered(key),
    content: (question, answer) => {
      const seen = contents.take(question, answer);
      if (seen !== undefined) changes.onAnswer(seen);
      late.answered(contentKey(question));
    },
    evidence: (id, facts) => evidence.answered(id, facts),
    listed: (patterns) => {
      if (listed.onListed(patterns)) scheduleClosings();
    },
    opened: (pid, files) => {
      if (identified.onOpened(pid, files, source.sensor.prevention)) scheduleClosings();
    },
    preloadChanged: () => recordChange("preload.changed", {}),
  });
  const imageOf = (container: string): string | null | undefined => {
    const image = examiner.containers.imageOf(container);
    capture.container(container, image, examiner.containers.podOf(container));
    return image;
  };
  const podOf = (container: string) => examiner.containers.podOf(container);
  const now = (): number => Math.floor(realtimeNow() / 1e9);
  const knownTrees = new KnownTrees({
    stateDirectory,
    ofRoles: baselines,
    listsPrograms: config.enforcement === "prevent",
    own: config.mail.to.length > 0 ? ownMailTrees() : [],
    recordChange,
    writeFile,
    epoch,
    now,
    moment: momentNow,
    imageOf,
  });
  const redaction = createArgumentRedaction(config.arguments.report, config.arguments.redact);
  const learner = new Learner({
    redact: redaction.args,
    identify: (facts) => baseList.identify(facts),
    stateDirectory,
    knownTrees,
    recordChange,
    origin: wardenOrigin(run, generation),
    reportLearned: (update) => outbox.learned(update),
    unconfirmedTrees: () => outbox.unacknowledgedTrees,
    writeFile,
    now,
    look: (facts) => examiner.lookup(facts, realtimeNow() / 1e6, true),
  });
  const contents = new RunnableContents({
    questions: examiner.contents,
    now: monotonicNow,
    mayFollowLinks: (pid) => reader.mayFollowLinks(pid),
  });
  const changes = new ChangedRunnables(
    {
      contents,
      permitted: () => policyInForce.current.digests,
      isWanted: (path) => learner.wantsContent(path),
      onContent: (path, content) => learner.onContent(path, content),
      onChanged: (program, digest) => learner.onChanged(program, digest),
    },
    saved?.changed,
  );
  const late = new LateVerdicts<Subject>({
    judge: (event) => {
      const { subject } = event;
      if (subject.kind === "exec") verdicts.onLate({ ...event, subject });
      else network.onLate({ ...event, subject });
    },
    missed: (reason) => totals.counter("lateVerdictsMissed", { reason }).add(1),
  });
  const clocks = () => ({ wallOffset: verdicts.wallOffset, suspended: tracker.forest.suspendedNs });
  const capture = new WardenCapture({
    stateDirectory,
    redaction: captureRedaction(createArgumentRedaction("redacted", config.arguments.redact)),
    epoch,
    header: (redacted) =>
      captureHeader({
        madeBy: "warden",
        redacted,
        bootTimeMs: boot.bootTimeMs,
        source: source.name,
        enforcement: enforcement.enforcement,
        argumentsLimit: config.arguments.limit,
        ...clocks(),
      }),
    clocks,
    userName: (uid) => users.nameOf(uid),
    base: () => formatBase(baseList.current),
    policy: () => JSON.stringify(policyInForce.current.resolved),
    exclusions: () => knownTrees.exclusionsInForce(),
    baselines: () => knownTrees.baselinesInForce(),
    forest: () => snapshotForest(tracker.forest, encodeRunnable),
    recordChange,
  });
  /** Puts into force what has changed of the orders and of what is armed. */
  const applyEnforcement = (): void => {
    if (!enforcement.takeChange()) return;
    epoch.raise("enforcement");
    verdicts.settling = source.applyPolicy(policyInForce.current, enforcement);
  };
  const requests = new WardenRequests({
    stateDirectory,
    learner,
    knownTrees,
    capture,
    work,
    writeFile,
    reloadOverrides: () => {
      enforcement.reload();
      applyEnforcement();
      return enforcement.problems;
    },
    reload: (name) => reload.onRequest(name),
    status: () => statusReport.status(),
    stopped: { carryOut: (order) => stoppedWatch.carryOut(order) },
    closedTexts: (pid) => {
      const process = tracker.forest.get(pid);
      const closing = process && closings.closingsOf(process);
      return closing === undefined ? [] : closingTexts(closing);
    },
    epoch: () => epoch.current,
  });
  const heartbeat = new Heartbeat({
    now: monotonicNow(),
    status: () => statusReport.status(),
    sumOf: (name) => totals.sumOf(name),
    record: (fields) => recordChange("warden.heartbeat", fields),
  });

  const newTrees = new NewTrees(saved?.trees);
  const recentExecs = new RecentExecs(config.arguments.limit);
  const tracker = new Tracker(
    {
      identify: (facts) => baseList.identify(facts),
      totals,
      trees,
      suspendedNs: suspendedFor(),
      isKnown: (tree) => knownTrees.isFamiliar(tree),
    },
    {
      onFork: (child) => {
        verdicts.onFork(child);
        denials.assign(child);
        closings.onFork(child);
      },
      onExec: (exec) => {
        verdicts.onExec(exec);
        recentExecs.add(exec);
        denials.assign(exec.process);
        if (exec.event?.prevented === true) closings.onPrevented();
        else closings.onProcess(exec.process);
      },
      onExit: (process, tree, event) => {
        killer.exited(process);
        verdicts.onExit(process, tree, event);
      },
      onMissedExit: (process) => {
        killer.exited(process);
        source.sensor.exited?.(process.pid);
      },
      onNetwork: (activity) => network.onNetwork(activity),
      onClose: (event) => network.onClose(event),
      onLoss: (event) => verdicts.onLoss(event),
    },
  );
  const forestStore = new ForestStore({
    directory: stateDirectory,
    run,
    bootId: boot.bootId,
    forest: tracker.forest,
    mark: () => source.sensor.mark,
    newTrees,
    changes,
    reader,
    fileWriter,
    onStartLearned: (pid, startTicks) => capture.processStart(pid, startTicks),
    recordChange,
  });
  const { killer, evidence, stoppedWatch, spareBefore, executable, isSpared, rescue, sparedSessions } =
    buildKill({
      config,
      run,
      generation,
      boot,
      source,
      forest: tracker.forest,
      reader,
      examiner,
      totals,
      recordChange,
      writeFile,
      fileWriter,
    });
  const ancestors = new AncestorRecords({
    forest: tracker.forest,
    reader,
    recent: recentExecs,
    bootTimeMs: boot.bootTimeMs,
    userName: (uid) => users.nameOf(uid),
    now: monotonicNow,
  });
  const repeatedVerdicts = new RepeatedVerdicts({
    report: (record, room) => outbox.reliable(record, room),
    offer: (record, room) => outbox.offer(record, room),
    stamp,
    ancestorsOf: (process) => ancestors.of(process),
    seed: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  });
  /** What verdicts on execs and on the network have in common. */
  const judging = {
    policy: policyInForce,
    enforcement,
    kills: new LimitedKills(killer, recordChange),
    verdicts: new VerdictTotals(totals),
    outbox,
    repeatedVerdicts,
    stamp,
    bootTimeMs: boot.bootTimeMs,
    userName: (uid: number) => users.nameOf(uid),
    load,
    imageOf,
    podOf,
    late,
    awaited: ({ containerId, examined, facts }: Subject): readonly string[] => {
      if (typeof containerId === "string")
        return imageOf(containerId) === undefined ? [imageKey(containerId)] : [];
      const answer = containerId === null && examined === undefined ? examiner.awaits(facts) : undefined;
      return answer === undefined ? [] : [answer];
    },
    ancestorsOf: (process: ProcessKey) => ancestors.of(process),
    knowledgeOf: (exec: KnowableExec & { readonly time: number }) =>
      knownTrees.lookUp(exec, Math.floor((exec.time + verdicts.wallOffset) / 1e9)),
    observed: (decision: Decision) => observation.onDecision(decision),
  };
  const network = new NetworkHandler({
    ...judging,
    trees,
    wallOffset: () => verdicts.wallOffset,
    isReported: (kind) => source.watchedNetwork.isReported(kind),
    budget: new UserBudget({ ...networkRecordBudget, now: monotonicNow }),
    isSpared,
    judgedPeer: (peer) => capture.peer(peer),
    hostNameOf: (address) => hosts.names.get(address) ?? null,
    knowPeer: (process, { transport, peerAddress, peerPort }) => {
      const isLearned = source.watchedNetwork.settings.learn_destinations;
      if (!isLearned && !knownTrees.hasBaseline) return null;
      const destination = destinationOf(transport, peerAddress, peerPort);
      if (destination === undefined) return undefined;
      const isKnown = knownTrees.knowsDestination(process, destination);
      if (isLearned) learner.onDestination(process, destination, isKnown);
      return isKnown;
    },
  });
  /** A process between two execs. */
  const subjectOf = (process: Process) => {
    const time = monotonicNow();
    const facts = factsOf(process, undefined);
    const tree = treeOf(process.lineage);
    const knowledge = judging.knowledgeOf({ process, facts, tree, time });
    const running = { process, tree, source: source.name, time, facts };
    return processSubject(running, verdicts.wallOffset, judging, knowledge);
  };
  const denials = new DenialsInForce({
    policy: policyInForce,
    enforcement,
    epoch,
    processes: () => tracker.forest.processes(),
    above: (process) => tracker.forest.liveAncestors(process),
    kernel: () => source.sensor.denials,
    isSpared,
    subjectOf,
  });
  const { identified, listed, preventionLimit, closings, scheduleClosings, mounts } = buildPrevention({
    config,
    poll,
    mountsToken: pollTokens.mounts,
    epoch,
    totals,
    policyInForce,
    enforcement,
    source,
    forest: tracker.forest,
    baseList,
    knownTrees,
    examiner,
    work,
    sparedSessions,
    isSpared,
    spareBefore,
    subjectOf,
    knowledgeOf: judging.knowledgeOf,
    recordChange,
  });
  epoch.onRaise((_, reason) => closings.onEpoch(reason));
  epoch.onRaise(() => work.add("denials", () => denials.applying()));
  const verdicts = new VerdictHandler({
    ...judging,
    killer,
    totals,
    newTrees,
    examined: (facts, wallTime) => {
      const examined = examiner.lookup(facts, wallTime);
      capture.examined(facts, examined);
      return examined;
    },
    changes,
    judgedContent: (answer) => capture.changed(answer),
    onLoss: () => {
      const time = monotonicNow();
      rescan.want(time);
      observation.onLoss(time);
      learner.onLoss();
    },
    isLearning: () => learner.isLearning,
    windowOf: (subject) => knownTrees.windowOf(subject),
    wasInForce: (time) => closings.wasInForce(time),
    onMismatch: ({ process, facts }, { rule, ruleset }) => {
      preventMismatches.add(1);
      closings.onMismatch(process, facts.executable);
      recordChange("prevention.mismatch", {
        "policy.severity": "high",
        "process.pid": process.pid,
        ...(facts.executable === undefined ? {} : { "process.executable.path": facts.executable }),
        "security_rule.name": rule,
        "security_rule.ruleset.name": ruleset,
      });
    },
    learnFrom: (exec, knowledge) => learner.onExec(exec, knowledge),
    settle: (event, process) => {
      if (denials.isInherited(process)) source.settle(event);
    },
  });
  const statusReport = new StatusReport({
    options,
    started,
    source,
    enforcement,
    policyInForce,
    knownTrees,
    files,
    chainStore,
    outbox,
    verdicts,
    killer,
    stoppedWatch,
    rescue,
    denials,
    closings,
    preventionLimit,
    mounts,
    epoch,
  });
  const selfWatch = new SelfWatch({
    forest: tracker.forest,
    source,
    totals,
    record: recordChange,
    files: files.watched,
    now: monotonicNow,
    wallNow: realtimeNow,
    executable,
  });
  return {
    applyEnforcement,
    capture,
    changes,
    closings,
    confirmed,
    denials,
    enforcement,
    epoch,
    evidence,
    examiner,
    files,
    /** Set by the loop when it begins to judge: from then on nothing may wait for the disk. */
    loop,
    fileWriter,
    forestStore,
    chainStore,
    heartbeat,
    hosts,
    killer,
    knownTrees,
    late,
    learner,
    link,
    /** undefined: nothing is prevented. */
    mounts,
    observation,
    outbox,
    ownCost,
    policyInForce,
    poll,
    reader,
    recordChange,
    reload,
    repeatedVerdicts,
    requests,
    rescan,
    selfWatch,
    signedPolicies,
    source,
    statusReport,
    stoppedWatch,
    totals,
    tracker,
    users,
    verdicts,
    work,
  };
}
