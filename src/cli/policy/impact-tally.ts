// What a policy would do to what a host runs, counted by rule, unit and exact tree.
import { compareTexts } from "../../baseline/compare-texts.ts";
import type { Decision } from "../../policy/policy.ts";
import { actions } from "../../policy/schema.ts";
import type { EventRecord } from "../../report/event-record.ts";
import { severities } from "../../vocabulary/severities.ts";
import { columnLines } from "../columns.ts";

/** One kind of verdict on one tree. */
interface Impact {
  readonly decision: Pick<Decision, "action" | "rule" | "ruleset" | "severity">;
  /** The container's image, or else the systemd unit; `-`: neither. */
  readonly scope: string;
  readonly exact: string;
  /** It is in the baseline; null where there is none. */
  readonly known: boolean | null;
  readonly counts: Record<CountSource, number>;
}

/** `records`: verdicts and new trees that were recorded; `learned`: executions that a learning counted. */
export type CountSource = "records" | "learned";

export interface Judged {
  readonly decision: Pick<Decision, "action" | "rule" | "ruleset" | "severity" | "undecided">;
  readonly record: EventRecord;
  readonly known: boolean | null | undefined;
  readonly source: CountSource;
  readonly count: number;
}

/** The fields of a record that a tally looks at. */
export function talliedFields(record: EventRecord): EventRecord {
  const { "container.image.name": image, "process.unit": unit, "tree.exact": exact } = record;
  return {
    ...(image === undefined ? {} : { "container.image.name": image }),
    ...(unit === undefined ? {} : { "process.unit": unit }),
    ...(exact === undefined ? {} : { "tree.exact": exact }),
  };
}

export class ImpactTally {
  private readonly impacts = new Map<string, Impact>();
  private readonly undecided = new Map<string, number>();

  add({ decision, record, known: given, source, count }: Judged): void {
    for (const rule of decision.undecided) this.undecided.set(rule, (this.undecided.get(rule) ?? 0) + 1);
    if (decision.action === "allow") return;
    const scope = String(record["container.image.name"] ?? record["process.unit"] ?? "-");
    const exact = String(record["tree.exact"]);
    const known = given === undefined ? false : given;
    const key = [decision.action, decision.ruleset, decision.rule, scope, exact, known].join("\0");
    const impact = this.impacts.get(key) ?? {
      decision,
      scope,
      exact,
      known,
      counts: { records: 0, learned: 0 },
    };
    impact.counts[source] += count;
    this.impacts.set(key, impact);
  }

  /**
   * Whether the policy would disturb what is accepted: a tree of the baseline draws an alert or a kill; where there is no
   * baseline, any tree.
   */
  get hitsKnown(): boolean {
    return this.rulesThatHitKnown.length > 0;
  }

  /** The rules, ROLE/RULE, that would do so. */
  get rulesThatHitKnown(): readonly string[] {
    const hits = this.sorted.filter(({ known }) => known !== false);
    return [...new Set(hits.map(({ decision }) => `${decision.ruleset}/${decision.rule}`))];
  }

  /** Whether any of the trees was compared with a baseline. */
  get hasBaseline(): boolean {
    return [...this.impacts.values()].some(({ known }) => known !== null);
  }

  /** Strongest first, then those that happen most often. */
  get sorted(): readonly Impact[] {
    return [...this.impacts.values()].sort(
      (a, b) =>
        actions.indexOf(b.decision.action) - actions.indexOf(a.decision.action) ||
        severities.indexOf(b.decision.severity) - severities.indexOf(a.decision.severity) ||
        countOf(b) - countOf(a) ||
        compareTexts(a.exact, b.exact),
    );
  }

  /** Rules that named a variable that is not known, each with how often, the most frequent first. */
  get undecidedRules(): readonly (readonly [string, number])[] {
    return [...this.undecided].sort((a, b) => b[1] - a[1] || compareTexts(a[0], b[0]));
  }
}

/** The smallest number of executions, because both sources may have counted the same ones. */
function countOf({ counts }: Impact): number {
  return Math.max(counts.records, counts.learned);
}

/** A title and a line for each impact; empty if there is none. Texts of records are printable already. */
export function impactLines(tally: ImpactTally): readonly string[] {
  if (tally.sorted.length === 0) return [];
  const rows = [
    ["ACTION", "SEVERITY", "RULE", "RECORDS", "LEARNED", "BASELINE", "UNIT", "TREE"],
    ...tally.sorted.map(({ decision, scope, exact, known, counts }) => [
      decision.action,
      decision.severity,
      `${decision.ruleset}/${decision.rule}`,
      String(counts.records),
      String(counts.learned),
      known === null ? "none" : known ? "known" : "not known",
      scope,
      exact,
    ]),
  ];
  return columnLines(rows);
}

/** The fields of a line of JSON for each impact. */
export function impactFields(tally: ImpactTally): readonly EventRecord[] {
  return tally.sorted.map((impact) => ({
    "policy.action": impact.decision.action,
    "policy.severity": impact.decision.severity,
    "security_rule.name": impact.decision.rule,
    "security_rule.ruleset.name": impact.decision.ruleset,
    "policy.count": impact.counts.records,
    "tree.count": impact.counts.learned,
    "tree.exact": impact.exact,
    "tree.known": impact.known,
    "baseline.scope": impact.scope,
  }));
}
