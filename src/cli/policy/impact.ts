// `policy impact F`: judges by a policy what this host is known to run, from the journal and the baseline.
import type { Knowledge } from "../../baseline/baseline.ts";
import { parseBaseline } from "../../baseline/baseline-file.ts";
import { type BaselineEntry, keyText } from "../../baseline/entry.ts";
import { baselinePath, scopeOf } from "../../baseline/key.ts";
import { ruleStatesOf } from "../../enforcement/arming.ts";
import { noOverrides } from "../../enforcement/overrides.ts";
import { createIdentifier } from "../../fingerprint/identify.ts";
import type { Runnable } from "../../fingerprint/runnable.ts";
import { printable } from "../../linux/text.ts";
import { type RecordedSubjects, recordedSubject, recordsOfEntry } from "../../offline/recorded-subject.ts";
import { type Decision, decide, type Policy } from "../../policy/policy.ts";
import type { RuleStates } from "../../policy/rule-state.ts";
import type { EventRecord, RecordValue } from "../../report/event-record.ts";
import type { JournalReader } from "../../reporter/journal-reader.ts";
import { durationText } from "../../vocabulary/duration.ts";
import { readCandidates } from "../baseline/candidates.ts";
import { jsonLine } from "../baseline/entry-output.ts";
import { readKnown } from "../baseline/store.ts";
import { type HostFlags, hostBase, hostConfig, policyToTry } from "../host-settings.ts";
import { openJournal } from "../open-journal.ts";
import { type ArmedRules, ruleNamed, unitNamed } from "../orders/targets.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import type { LoadedPolicies } from "../policies.ts";
import { Progress } from "../progress.ts";
import { timeArgument } from "../times.ts";
import { userId } from "../user-option.ts";
import { ImpactTally, impactFields, impactLines, type Judged, talliedFields } from "./impact-tally.ts";

export interface ImpactFlags extends HostFlags {
  readonly since: string;
  readonly output: OutputFormat;
  /** Only what these rules would do if they were armed. */
  readonly rule?: readonly string[];
  readonly unit?: string;
  readonly user?: string;
  readonly limit?: number;
}

/** Maximum number of undecided rules that are listed. */
const UNDECIDED_SHOWN = 20;

/**
 * Judges all that is known by the policy `name`, or by the one of the configuration. Exit code 1 if it would disturb what
 * is accepted.
 */
export async function impact(name: string | undefined, flags: ImpactFlags): Promise<void> {
  const now = Date.now();
  const since = timeArgument(flags.since, "--since", now);
  const named: HostFlags = name === undefined ? flags : { ...flags, policy: [name] };
  const config = hostConfig(named);
  const loaded = policyToTry(named, config);
  const armed = armedRules(flags, loaded.policy);
  const directory = config.state_directory;
  const accepted = acceptedEntries(directory, loaded.baselines);
  const collected = (await readCandidates(directory)).filter(({ last }) => last * 1_000 >= since);
  const judge = new Judge(loaded.policy, accepted, {
    identify: createIdentifier({ base: hostBase(config) }),
    environmentNames: config.environment.read,
    armed,
  });
  judge.addEntries(accepted ?? [], true);
  judge.addEntries(
    collected.filter((entry) => !judge.knows(entry)),
    accepted === undefined ? null : false,
  );
  // Opened last, because opening it drops the rights of root.
  using journal = openJournal(directory);
  const records = judge.addRecords(journal, since, flags.limit);
  printImpacts(judge.tally, flags.output);
  const { role, version } = loaded.policy;
  const trees = new Set([...(accepted ?? []), ...collected].map(keyText)).size;
  warn(
    `${role} ${version}: judged ${records.judged} records of the last ${durationText((now - records.since) / 1_000)} and ${trees} learned trees`,
  );
  reportUndecided(judge.tally);
  reportImpacts(judge.tally, armed === undefined ? "the policy" : judge.tally.rulesThatHitKnown.join(", "));
}

/** The rules and the place that the options name; undefined: all rules. */
function armedRules({ rule: names, unit, user }: ImpactFlags, policy: Policy): ArmedRules | undefined {
  if (names !== undefined)
    return {
      rules: names.map((name) => ruleNamed(name, policy)),
      unit: unitNamed(unit),
      user: user === undefined ? null : userId(user),
    };
  if (unit === undefined && user === undefined) return undefined;
  throw new CommandError(exitCodes.usage, "--unit and --user need --rule");
}

/** Prints the impacts, as text or as lines of JSON. */
export function printImpacts(tally: ImpactTally, output: OutputFormat): void {
  const lines =
    output === "json"
      ? impactFields(tally).map((fields) => jsonLine("policy.impact", fields))
      : impactLines(tally).map((line) => `${printable(line)}\n`);
  process.stdout.write(lines.join(""));
}

/** Reports whether the policy, or what `what` names, would disturb what is accepted; then the exit code is 1. */
export function reportImpacts(tally: ImpactTally, what = "the policy"): void {
  if (!tally.hitsKnown) {
    warn("nothing that is known would draw an alert or a kill");
    return;
  }
  warn(
    tally.hasBaseline
      ? `${what} would disturb what is in the baseline`
      : `there is no baseline, so all that ran counts as known, and ${what} would disturb it`,
  );
  process.exitCode = exitCodes.no;
}

function reportUndecided(tally: ImpactTally): void {
  const undecided = tally.undecidedRules;
  if (undecided.length === 0) return;
  const shown = undecided.slice(0, UNDECIDED_SHOWN).map(([rule, times]) => `${rule} (${times})`);
  const more = undecided.length > UNDECIDED_SHOWN ? [`and ${undecided.length - UNDECIDED_SHOWN} more`] : [];
  warn(`undecided, because they name something that is not recorded: ${[...shown, ...more].join(", ")}`);
}

function statesOfArmed(policy: Policy, { rules, unit, user }: ArmedRules): RuleStates {
  const by = { pid: 0, login_user: null, session: null, tree: null };
  const order = { id: "0".repeat(16), since: 0, by, reason: null, unit, user };
  return ruleStatesOf(policy, () => false, {
    ...noOverrides,
    arm: rules.map((rule) => ({ ...order, rule })),
  });
}

/** All that is known: the baselines in force, and what comes with the policy. Undefined if there is none. */
function acceptedEntries(
  directory: string,
  ofRoles: LoadedPolicies["baselines"],
): readonly BaselineEntry[] | undefined {
  const inForce = readKnown(directory);
  const entriesOfRoles = ofRoles.flatMap(({ bytes }) => {
    const result = parseBaseline(bytes);
    return result.ok ? result.value.entries : [];
  });
  return inForce === undefined && entriesOfRoles.length === 0
    ? undefined
    : [...(inForce ?? []), ...entriesOfRoles];
}

type JudgedRecord = Omit<Judged, "source" | "count">;

interface JudgeOptions extends Omit<RecordedSubjects, "knowledgeOf"> {
  /** Only what these would do counts; undefined: all that the policy would. */
  readonly armed: ArmedRules | undefined;
}

/** A repeated verdict names the first of its kind, which comes again every hour: older ones are forgotten. */
const KINDS_LIMIT = 20_000;

/** What was decided about the verdicts that later ones repeat, without their records: a journal has many megabytes. */
class FirstVerdicts {
  private readonly byUid = new Map<RecordValue, JudgedRecord>();

  /** What was decided about the verdict that `record` repeats. */
  of(record: EventRecord): JudgedRecord | undefined {
    const uid = record["policy.first_uid"];
    return uid === undefined ? undefined : this.byUid.get(uid);
  }

  remember(record: EventRecord, { decision, known }: JudgedRecord): void {
    const { "event.name": name, "log.record.uid": uid } = record;
    if (name !== "policy.verdict" || uid === undefined) return;
    this.byUid.set(uid, { decision, known, record: talliedFields(record) });
    const [oldest] = this.byUid.size > KINDS_LIMIT ? this.byUid.keys() : [];
    if (oldest !== undefined) this.byUid.delete(oldest);
  }
}

class Judge {
  readonly tally = new ImpactTally();
  private readonly policy: Policy;
  private readonly armed: ArmedRules | undefined;
  private readonly states: RuleStates | undefined;
  private readonly options: RecordedSubjects;
  /** Undefined: nothing was ever accepted. */
  private readonly accepted: ReadonlySet<string> | undefined;

  constructor(
    policy: Policy,
    accepted: readonly BaselineEntry[] | undefined,
    { armed, ...options }: JudgeOptions,
  ) {
    this.policy = policy;
    this.armed = armed;
    this.states = armed && statesOfArmed(policy, armed);
    this.accepted = accepted && new Set(accepted.map(keyText));
    this.options = { ...options, knowledgeOf: (record, runnable) => this.knowledgeOf(record, runnable) };
  }

  knows(entry: BaselineEntry): boolean {
    return this.accepted?.has(keyText(entry)) === true;
  }

  addEntries(entries: readonly BaselineEntry[], known: boolean | null): void {
    const options = { ...this.options, knowledgeOf: () => ({ known, familiar: known }) };
    for (const entry of entries) {
      // Of several executables each is judged, and the entry counts once.
      let { count } = entry;
      for (const record of recordsOfEntry(entry)) {
        const judged = this.judge(record, options);
        if (judged === undefined) continue;
        this.tally.add({ ...judged, source: "learned", count });
        count = 0;
      }
    }
  }

  /**
   * Judges the records from `since` on, of more than `limit` the newest. Returns how many they were, and the time from
   * which on they are all.
   */
  addRecords(
    journal: JournalReader,
    since: number,
    limit = Number.POSITIVE_INFINITY,
  ): { readonly judged: number; readonly since: number } {
    using progress = new Progress("judging records");
    const first = new FirstVerdicts();
    let newTree = "";
    let judgedRecords = 0;
    let begin: number | undefined;
    const last = journal.newest();
    const isLimited = last > limit;
    for (const { record } of journal.rows({ since }, isLimited ? last - limit : 0, last)) {
      begin ??= isLimited ? Date.parse(String(record.timestamp)) || since : since;
      const judged = first.of(record) ?? this.judge(record, this.options);
      if (judged === undefined) continue;
      first.remember(record, judged);
      // The record of a new tree is followed by that of the verdict on the same exec.
      const exec = `${String(record.timestamp)} ${String(record["process.pid"])}`;
      const isCounted = exec === newTree;
      newTree = record["event.name"] === "tree.new" ? exec : "";
      if (isCounted) continue;
      const count = typeof record["policy.count"] === "number" ? record["policy.count"] : 1;
      this.tally.add({ ...judged, source: "records", count });
      judgedRecords += 1;
      progress.update(judgedRecords, undefined);
    }
    return { judged: judgedRecords, since: begin ?? since };
  }

  private judge(record: EventRecord, options: RecordedSubjects): JudgedRecord | undefined {
    const subject = recordedSubject(record, options);
    if (subject === undefined) return undefined;
    const decision = decide(this.policy, subject, this.states);
    return { decision: this.concerned(decision), record, known: subject.knowledge.known };
  }

  /** Of a decision what the rules in question have to do with: they alone are armed. */
  private concerned(decision: Decision): Judged["decision"] {
    const { armed } = this;
    if (armed === undefined) return decision;
    const undecided = decision.undecided.filter((id) => armed.rules.some((rule) => rule.endsWith(`/${id}`)));
    return decision.armed ? { ...decision, undecided } : { ...decision, action: "allow", undecided };
  }

  /** By the baseline as it is now. What was known when it was recorded, and matches no entry by its key, stays known. */
  private knowledgeOf(record: EventRecord, runnable: Runnable): Knowledge {
    if (this.accepted === undefined) return { known: null, familiar: null };
    const cgroup = record["process.linux.cgroup"];
    const container = record["container.id"];
    const image = record["container.image.name"];
    const scope = scopeOf(
      typeof cgroup === "string" ? cgroup : undefined,
      typeof container === "string" ? container : null,
      typeof image === "string" ? image : undefined,
    );
    const habit = record["tree.habit"];
    const path = baselinePath(runnable);
    if (record["tree.known"] === true) return { known: true, familiar: true };
    if (scope === undefined || path === undefined || typeof habit !== "string") return {};
    const known = this.accepted.has(keyText({ scope, habit, path }));
    return { known, familiar: known || record["tree.familiar"] === true };
  }
}
