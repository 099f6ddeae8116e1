// The table of all metrics: their names for Prometheus and OpenTelemetry, labels and buckets.
import { outcomes } from "../enforcement/outcome.ts";
import { overrideKinds } from "../enforcement/overrides.ts";
import { lossReasons } from "../sensor/event.ts";
import { countedKinds, networkKinds } from "../vocabulary/event-kinds.ts";
import { selfEvents } from "../vocabulary/event-names.ts";
import { outputSignals } from "../vocabulary/outputs.ts";
import { processNames } from "../vocabulary/processes.ts";
import { liveSources } from "../vocabulary/sensors.ts";

export interface Instrument {
  /** The Prometheus name; that of a counter ends in `_total`. */
  readonly prometheus: string;
  /** treewarden's own Prometheus name, where `prometheus` is prom-cnproc's; see the setting `metrics.names`. */
  readonly ownName?: string;
  /** The OpenTelemetry name. */
  readonly otel: string;
  /** UCUM, as OpenTelemetry writes it. */
  readonly unit: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly description: string;
  /** The names of the labels. A series has one value for each, in this order. */
  readonly attributes: readonly string[];
  /** For each attribute its closed list of values: these series start at 0. Absent if the values are open. */
  readonly closed?: readonly (readonly string[])[];
  /** The upper bounds (`le`) of a histogram's buckets, without the infinite one. */
  readonly buckets?: readonly number[];
}

/** Why an exec is unattributed: the first of these that is missing. */
export const unattributedReasons = ["executable", "arguments", "ids", "tree"] as const;
/** Why an exec is not judged again with the answer for which it waits. */
export const lateReasons = ["full", "timeout", "stop"] as const;
/** `tree.known` of a new tree. */
export const newTreeKnowledge = ["false", "null", "absent"] as const;
/** The warden's queues. */
const wardenQueues = ["reliable", "best_effort"] as const;
/** Signals that are off if one of their settings cannot be used. */
const configuredSignals = [...outputSignals, "endpoint"] as const;

export const instruments = {
  treeProcesses: {
    prometheus: "process",
    ownName: "treewarden_tree_processes",
    otel: "treewarden.tree.processes",
    unit: "{process}",
    kind: "gauge",
    description: "Processes of the tree alive now (RUNNING); 1 when none is, else 0 (STOPPED).",
    attributes: ["tree"],
  },
  treeDuration: {
    prometheus: "process_seconds",
    ownName: "treewarden_tree_duration_seconds",
    otel: "treewarden.tree.duration",
    unit: "s",
    kind: "histogram",
    description: "How long processes of the tree lived.",
    attributes: ["tree"],
    buckets: [0.01, 0.1, 1, 10, 60, 600, 3600, 86400],
  },
  events: {
    prometheus: "treewarden_events_total",
    otel: "treewarden.events",
    unit: "{event}",
    kind: "counter",
    description: "Events that the kernel reported.",
    attributes: ["event"],
    closed: [countedKinds],
  },
  eventsLost: {
    prometheus: "treewarden_events_lost_total",
    otel: "treewarden.events.lost",
    unit: "{event}",
    kind: "counter",
    description: "Events that the kernel made and treewarden did not get.",
    attributes: ["source", "reason"],
    closed: [liveSources, lossReasons],
  },
  execsUnattributed: {
    prometheus: "treewarden_execs_unattributed_total",
    otel: "treewarden.execs.unattributed",
    unit: "{exec}",
    kind: "counter",
    description: "Execs whose executable, arguments, ids or tree could not be determined.",
    attributes: ["reason"],
    closed: [unattributedReasons],
  },
  connections: {
    prometheus: "treewarden_connections_total",
    otel: "treewarden.connections",
    unit: "{event}",
    kind: "counter",
    description:
      "What processes of the tree did on the network: connections and UDP sessions (outbound), sockets that listen (inbound).",
    attributes: ["tree", "direction", "outcome"],
  },
  connectionsUnattributed: {
    prometheus: "treewarden_connections_unattributed_total",
    otel: "treewarden.connections.unattributed",
    unit: "{event}",
    kind: "counter",
    description: "Events of the network whose process was not known.",
    attributes: ["event"],
    closed: [networkKinds],
  },
  namesUnscored: {
    prometheus: "treewarden_names_unscored_total",
    otel: "treewarden.names.unscored",
    unit: "{name}",
    kind: "counter",
    description:
      "Program names that were folded without a randomness score, because a user made too many new ones or the warden was behind.",
    attributes: [],
    closed: [],
  },
  preventMismatches: {
    prometheus: "treewarden_prevent_mismatches_total",
    otel: "treewarden.prevent.mismatches",
    unit: "{exec}",
    kind: "counter",
    description:
      "Programs that the kernel ended before their first instruction although the policy allows them.",
    attributes: [],
  },
  preventedUnrecorded: {
    prometheus: "treewarden_prevented_unrecorded_total",
    otel: "treewarden.prevented.unrecorded",
    unit: "{exec}",
    kind: "counter",
    description:
      "Programs that the kernel ended before their first instruction and of which events were lost: they have no record.",
    attributes: [],
  },
  preventLimited: {
    prometheus: "treewarden_prevent_limited_total",
    otel: "treewarden.prevent.limited",
    unit: "{exec}",
    kind: "counter",
    description:
      "Programs that the kernel left to user space, because it had ended too many different ones within a minute.",
    attributes: [],
  },
  closedProcesses: {
    prometheus: "treewarden_closed_processes",
    otel: "treewarden.closed_processes",
    unit: "{process}",
    kind: "gauge",
    description: "Processes for which the kernel ends what armed rules kill, as they were judged last.",
    attributes: [],
  },
  lateVerdictsMissed: {
    prometheus: "treewarden_late_verdicts_missed_total",
    otel: "treewarden.late_verdicts.missed",
    unit: "{event}",
    kind: "counter",
    description:
      "Execs that waited for an answer that a rule needs, and were not judged again (full) or without the answer (timeout; stop: the warden ended).",
    attributes: ["reason"],
    closed: [lateReasons],
  },
  verdicts: {
    prometheus: "treewarden_verdicts_total",
    otel: "treewarden.verdicts",
    unit: "{verdict}",
    kind: "counter",
    description: "Verdicts of the policy.",
    attributes: ["role", "rule", "action", "outcome", "severity"],
  },
  newTrees: {
    prometheus: "treewarden_new_trees_total",
    otel: "treewarden.new_trees",
    unit: "{tree}",
    kind: "counter",
    description:
      "Trees that this host ran for the first time (event tree.new), by tree.known: null without a baseline.",
    attributes: ["known"],
    closed: [newTreeKnowledge],
  },
  verdictDuration: {
    prometheus: "treewarden_verdict_seconds",
    otel: "treewarden.verdict.duration",
    unit: "s",
    kind: "histogram",
    description: "Time from the event in the kernel until the action was carried out.",
    attributes: ["outcome"],
    closed: [outcomes],
    buckets: [0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.003, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  },
  rulesUndecided: {
    prometheus: "treewarden_rules_undecided_total",
    otel: "treewarden.rules.undecided",
    unit: "{decision}",
    kind: "counter",
    description: "Rules that did not match because a variable they name could not be read.",
    attributes: ["rule"],
  },
  queueDropped: {
    prometheus: "treewarden_queue_dropped_total",
    otel: "treewarden.queue.dropped",
    unit: "{record}",
    kind: "counter",
    description: "Records dropped because a queue was full, or deleted before their export.",
    attributes: ["queue"],
    closed: [wardenQueues],
  },
  exportFailures: {
    prometheus: "treewarden_export_failures_total",
    otel: "treewarden.export.failures",
    unit: "{export}",
    kind: "counter",
    description: "Deliveries to an output that failed.",
    attributes: ["signal"],
  },
  outputDisabled: {
    prometheus: "treewarden_output_disabled",
    otel: "treewarden.output.disabled",
    unit: "1",
    kind: "gauge",
    description: "1 if the output is off because its settings cannot be used, else 0.",
    attributes: ["signal"],
    closed: [configuredSignals],
  },
  resyncs: {
    prometheus: "treewarden_resyncs_total",
    otel: "treewarden.resyncs",
    unit: "{resync}",
    kind: "counter",
    description: "Scans of /proc that repaired the forest after a loss.",
    attributes: [],
    closed: [],
  },
  restarts: {
    prometheus: "treewarden_restarts_total",
    otel: "treewarden.restarts",
    unit: "{restart}",
    kind: "counter",
    description: "Processes of treewarden that ended, and were started again.",
    attributes: ["process"],
    closed: [processNames],
  },
  selfEvents: {
    prometheus: "treewarden_self_events_total",
    otel: "treewarden.self.events",
    unit: "{event}",
    kind: "counter",
    description:
      "What others did to treewarden: signals other than its orders, debuggers, changed files, detached programs, times in which it did not run.",
    attributes: ["event"],
    closed: [selfEvents],
  },
  selfCheck: {
    prometheus: "treewarden_self_check_timestamp_seconds",
    otel: "treewarden.self.check.timestamp",
    unit: "s",
    kind: "gauge",
    description:
      "Unix time at which the warden last found that the kernel reports to it; every 5 s. Where it stands still, nobody watches.",
    attributes: [],
    closed: [],
  },
  policyLoadFailures: {
    prometheus: "treewarden_policy_load_failures_total",
    otel: "treewarden.policy.load.failures",
    unit: "{load}",
    kind: "counter",
    description: "Policies that were refused because of an error.",
    attributes: [],
    closed: [],
  },
  configReloadSuccessful: {
    prometheus: "treewarden_config_last_reload_successful",
    otel: "treewarden.config.last_reload.successful",
    unit: "1",
    kind: "gauge",
    description:
      "1 if configuration and policies are those on disk when they were last read, 0 if they were refused.",
    attributes: [],
    closed: [],
  },
  configReloadTime: {
    prometheus: "treewarden_config_last_reload_success_timestamp_seconds",
    otel: "treewarden.config.last_reload.success.timestamp",
    unit: "s",
    kind: "gauge",
    description: "Unix time at which configuration and policies were last put into force.",
    attributes: [],
    closed: [],
  },
  degradedReasons: {
    prometheus: "treewarden_degraded_reasons",
    otel: "treewarden.degraded.reasons",
    unit: "{reason}",
    kind: "gauge",
    description: "For how many reasons what is in force is not what was asked for; /readyz names them.",
    attributes: [],
    closed: [],
  },
  armedRules: {
    prometheus: "treewarden_armed_rules",
    otel: "treewarden.rules.armed",
    unit: "{rule}",
    kind: "gauge",
    description: "Rules that may act on this host; 0 where enforcement is observe.",
    attributes: [],
    closed: [],
  },
  paused: {
    prometheus: "treewarden_paused",
    otel: "treewarden.enforcement.paused",
    unit: "1",
    kind: "gauge",
    description: "1 while root has paused enforcement: nothing acts.",
    attributes: [],
    closed: [],
  },
  overrides: {
    prometheus: "treewarden_overrides",
    otel: "treewarden.overrides",
    unit: "{order}",
    kind: "gauge",
    description: "Orders of root that are in force besides the configuration.",
    attributes: ["kind"],
    closed: [overrideKinds],
  },
  killBudgetRemaining: {
    prometheus: "treewarden_kill_budget_remaining",
    otel: "treewarden.kill.budget.remaining",
    unit: "{offender}",
    kind: "gauge",
    description: "Further offenders (user, exact tree, rule) that may be killed in this minute.",
    attributes: [],
    closed: [],
  },
  stoppedTrees: {
    prometheus: "treewarden_stopped_trees",
    otel: "treewarden.stopped.trees",
    unit: "{tree}",
    kind: "gauge",
    description: "Trees that a rule has stopped, and that were neither released nor killed.",
    attributes: [],
    closed: [],
  },
  evidenceRefused: {
    prometheus: "treewarden_evidence_refused_total",
    otel: "treewarden.evidence.refused",
    unit: "{kill}",
    kind: "counter",
    description: "Kills without evidence, because as much was taken in this day as may be.",
    attributes: [],
    closed: [],
  },
  journalHead: {
    prometheus: "treewarden_journal_head",
    otel: "treewarden.journal.head",
    unit: "1",
    kind: "gauge",
    description:
      "The first 48 bits of the seal of the newest reliable record, as a number: what the journal must contain.",
    attributes: [],
    closed: [],
  },
  info: {
    prometheus: "treewarden_info",
    otel: "treewarden.info",
    unit: "1",
    kind: "gauge",
    description: "Always 1: the version that runs, its source of events, and what enforcement may do.",
    attributes: ["version", "source", "enforcement"],
  },
  policyInfo: {
    prometheus: "treewarden_policy_info",
    otel: "treewarden.policy.info",
    unit: "1",
    kind: "gauge",
    description: "Always 1: a role whose policy is in force.",
    attributes: ["role", "version", "digest"],
  },
  baselineInfo: {
    prometheus: "treewarden_baseline_info",
    otel: "treewarden.baseline.info",
    unit: "1",
    kind: "gauge",
    description:
      "Always 1: the digest of the baseline in force, or none where there is only one that came with a role.",
    attributes: ["digest"],
  },
  processCpu: {
    prometheus: "treewarden_process_cpu_seconds_total",
    otel: "treewarden.process.cpu",
    unit: "s",
    kind: "counter",
    description: "CPU time that treewarden's own processes have used.",
    attributes: ["process"],
    closed: [processNames],
  },
  processResident: {
    prometheus: "treewarden_process_resident_memory_bytes",
    otel: "treewarden.process.resident_memory",
    unit: "By",
    kind: "gauge",
    description: "Resident memory of treewarden's own processes; 0 for one that does not run.",
    attributes: ["process"],
    closed: [processNames],
  },
  processPrivate: {
    prometheus: "treewarden_process_private_memory_bytes",
    otel: "treewarden.process.private_memory",
    unit: "By",
    kind: "gauge",
    description:
      "The part of the resident memory that is no file's, so that no other process shares it (RssAnon).",
    attributes: ["process"],
    closed: [processNames],
  },
  journalBytes: {
    prometheus: "treewarden_journal_bytes",
    otel: "treewarden.journal",
    unit: "By",
    kind: "gauge",
    description: "What the journal's records and tables occupy; journal.max_megabytes limits it.",
    attributes: [],
  },
  exportBacklog: {
    prometheus: "treewarden_export_backlog_records",
    otel: "treewarden.export.backlog.records",
    unit: "{record}",
    kind: "gauge",
    description: "Records in the journal that the collector has not accepted yet; 0 without a collector.",
    attributes: [],
  },
  lastEvent: {
    prometheus: "treewarden_last_event_timestamp_seconds",
    otel: "treewarden.last_event.timestamp",
    unit: "s",
    kind: "gauge",
    description: "Unix time of the last event from the kernel.",
    attributes: [],
  },
  treesOverflow: {
    prometheus: "treewarden_trees_overflow_total",
    otel: "treewarden.trees.overflow",
    unit: "{tree}",
    kind: "counter",
    description: "Trees folded into the overflow series because the limit was reached.",
    attributes: [],
    closed: [],
  },
} as const satisfies Readonly<Record<string, Instrument>>;

export type InstrumentName = keyof typeof instruments;
export type InstrumentOf<K extends Instrument["kind"]> = {
  [N in InstrumentName]: (typeof instruments)[N]["kind"] extends K ? N : never;
}[InstrumentName];
/** A value for each attribute of the instrument. */
export type AttributesOf<N extends InstrumentName> = Readonly<
  Record<(typeof instruments)[N]["attributes"][number], string>
>;

export function isInstrument(name: string): name is InstrumentName {
  return Object.hasOwn(instruments, name);
}

export const instrumentNames: readonly InstrumentName[] = Object.keys(instruments).filter(isInstrument);

/** The instrument of a name, without the table's literal types. */
export function instrumentNamed(name: InstrumentName): Instrument {
  return instruments[name];
}

/** All sets of values that `closed` defines: the product of its lists. */
export function closedSets(instrument: Instrument): readonly (readonly string[])[] {
  if (instrument.closed === undefined) return [];
  let sets: string[][] = [[]];
  for (const values of instrument.closed)
    sets = sets.flatMap((set) => values.map((value) => [...set, value]));
  return sets;
}
