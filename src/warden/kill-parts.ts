// The parts that kill and stop, and those that say what is spared.
import { readlinkSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { ProcessKiller } from "../enforcement/kill.ts";
import { KillBudget } from "../enforcement/kill-budget.ts";
import { StoppedTrees } from "../enforcement/stopped-trees.ts";
import { type ExaminerClient, IDS_PER_GENERATION } from "../examiner/client.ts";
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { monotonicNow } from "../linux/clock.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Totals } from "../report/totals.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { AtomicFileWriter, WriteFile } from "./atomic-file-writer.ts";
import type { EventSource } from "./event-source.ts";
import { Evidence } from "./evidence.ts";
import { evidenceCopies } from "./evidence-copies.ts";
import { kernelSignals } from "./kernel-signals.ts";
import { mailPrograms } from "./own-processes.ts";
import type { Boot } from "./saved-state.ts";
import { sparedProcesses } from "./spared-processes.ts";
import { SparedSessions } from "./spared-sessions.ts";
import { StoppedWatch } from "./stopped-watch.ts";
import { type RescueUser, readRescueUser } from "./user-names.ts";

export interface KillPartsInputs {
  readonly config: Config;
  readonly run: string;
  readonly generation: number;
  readonly boot: Boot;
  readonly source: EventSource;
  readonly forest: Forest;
  readonly reader: FactsReader;
  readonly examiner: ExaminerClient;
  readonly totals: Totals;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  readonly writeFile: WriteFile;
  readonly fileWriter: AtomicFileWriter;
}

export interface KillParts {
  readonly killer: ProcessKiller;
  readonly evidence: Evidence;
  readonly stoppedWatch: StoppedWatch;
  /** Start ticks: what runs since before is spared until it executes something that the baseline does not know. */
  readonly spareBefore: number;
  /** The path of treewarden's executable. */
  readonly executable: string;
  /** Whether the process is treewarden's own, or one that it depends on. */
  readonly isSpared: (process: Process) => boolean;
  readonly rescue: RescueUser;
  readonly sparedSessions: SparedSessions;
}

export function buildKill(inputs: KillPartsInputs): KillParts {
  const { config, generation, boot, source, forest, reader, totals, recordChange } = inputs;
  const signals = kernelSignals(reader, inputs.run, () => source.sensor.condemned);
  const spareBefore = config.kill.spare_preexisting ? boot.firstStartTicks : 0;
  const executable = readlinkSync("/proc/self/exe");
  const isSpared = sparedProcesses({
    forest,
    executable,
    mailPrograms: mailPrograms(),
    isOwnProcess: signals.isOwnProcess,
  });
  const rescue = readRescueUser(config);
  const sparedSessions = new SparedSessions(rescue.uid);
  const stopped = new StoppedTrees();
  source.hasCondemned = () => stopped.size > 0;
  const evidence = new Evidence({
    timeLimitNs: config.evidence.timeout_seconds * 1e9,
    bytesPerDay: config.evidence.max_megabytes_per_day * 1e6,
    killer: () => killer,
    stopped,
    ask: (...question) => inputs.examiner.askEvidence(...question),
    copies: evidenceCopies(config, generation, (...job) => inputs.fileWriter.doLater(...job), recordChange),
    bootTimeMs: boot.bootTimeMs,
    recordChange,
    refused: totals.counter("evidenceRefused", {}),
    now: monotonicNow,
    startTicks: (pid) => reader.startTicks(pid),
    mayFollowLinks: (pid) => reader.mayFollowLinks(pid),
    idsAfter: generation * IDS_PER_GENERATION,
  });
  const budget = new KillBudget(config.kill.max_per_minute);
  const killer = new ProcessKiller(forest, signals, budget, stopped, {
    spareBefore,
    isInSparedSession: (process) => sparedSessions.includes(process),
    evidence: config.evidence.enabled ? evidence : undefined,
  });
  const stoppedWatch = new StoppedWatch({
    stateDirectory: config.state_directory,
    bootId: boot.bootId,
    bootTimeMs: boot.bootTimeMs,
    forest,
    stopped,
    killer,
    reader,
    condemned: () => source.sensor.condemned,
    carrySignals: () => source.carrySignals("both"),
    count: totals.gauge("stoppedTrees", {}),
    recordChange,
    writeFile: inputs.writeFile,
  });
  return { killer, evidence, stoppedWatch, spareBefore, executable, isSpared, rescue, sparedSessions };
}
