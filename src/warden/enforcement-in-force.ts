// What verdicts may do at present: the configuration's enforcement and armed rules, and what root has ordered by hand.
// Less always wins: a pause holds whatever is armed, and so does a file that takes something away and cannot be read.
import type { Enforcement } from "../config/config.ts";
import { actingRules, isArmedBy, type NamedRule, ruleStatesOf } from "../enforcement/arming.ts";
import type { ArmingSettings } from "../enforcement/configured-arming.ts";
import type { Outcome } from "../enforcement/outcome.ts";
import {
  allOrders,
  inForceAt,
  nextEndAfter,
  noOverrides,
  type Overrides,
  overrideKinds,
  withoutOrders,
} from "../enforcement/overrides.ts";
import { defaultRulesetOf, type Policy } from "../policy/policy.ts";
import { type Holds, holdsFor, type RuleStates, ruleKey } from "../policy/rule-state.ts";
import { type Action, DEFAULT_RULE } from "../policy/schema.ts";
import type { Totals } from "../report/totals.ts";
import { type Moment, secondsUntil } from "../vocabulary/moment.ts";
import { DEFAULT_SEVERITY } from "../vocabulary/severities.ts";
import type { ConfirmedRules } from "./confirmed-rules.ts";
import type { OverrideRecords } from "./override-records.ts";
import type { StoredOverrides } from "./overrides-store.ts";
import type { WardenStatus } from "./warden-status.ts";

/** While an order has an end, the clock may be set or the machine suspended: look at least this often, in seconds. */
const LOOK_S = 60;

type EnforcementSettings = ArmingSettings;

export interface EnforcementInputs {
  readonly settings: EnforcementSettings;
  readonly policy: Policy;
  readonly totals: Totals;
  /** Reads the orders from their files. */
  readonly read: () => StoredOverrides;
  /** Changes whenever one of the files does. */
  readonly version: () => string;
  readonly moment: () => Moment;
  readonly records: Pick<OverrideRecords, "ended" | "onOrders" | "remind">;
  /** Which of the rules that the configuration arms may act. */
  readonly confirmed: Pick<ConfirmedRules, "has" | "held" | "apply" | "confirm">;
  /** Reports files that cannot be used. */
  readonly onProblems: (problems: readonly string[]) => void;
  /** A verdict has found other orders, before the warden has read the request to put them into force. */
  readonly onRefreshed: () => void;
}

export class EnforcementInForce {
  private readonly inputs: EnforcementInputs;
  private settings: EnforcementSettings;
  /** Settings that are about to be in force: what they do not let act does not act any more. */
  private narrowed: EnforcementSettings | undefined;
  private policy: Policy;
  private stored: StoredOverrides = { overrides: noOverrides, problems: [], holdsAll: false };
  private orders: Overrides = noOverrides;
  /** Ids of orders whose time is over or that are carried out, as long as their files hold them. */
  private readonly ended: Set<string>;
  /** An order in force has an end. */
  private hasEnds = false;
  /** The version of the files that `stored` was read from. */
  private readVersion = "";
  private current: RuleStates = new Map();
  /** Something has changed that `takeChange` has not returned yet. */
  private isChanged = false;

  constructor(inputs: EnforcementInputs) {
    this.inputs = inputs;
    this.settings = inputs.settings;
    this.policy = inputs.policy;
    this.ended = new Set(inputs.records.ended);
    this.reload();
  }

  /** Of the configuration. */
  get enforcement(): Enforcement {
    return this.settings.enforcement;
  }

  /** Of the configuration: how long a rule is observed before the configuration alone can arm it, in hours. */
  get armedSinceHours(): number {
    return this.settings.armed_since_hours;
  }

  /** Whether any verdict may act now. */
  get mayAct(): boolean {
    if (this.narrowed?.enforcement === "observe") return false;
    return this.enforcement !== "observe" && this.orders.pause.length === 0 && !this.stored.holdsAll;
  }

  /** Whether the kernel may end, by itself, what armed rules kill. */
  get mayPrevent(): boolean {
    const narrowed = this.narrowed?.enforcement ?? "prevent";
    return this.mayAct && this.enforcement === "prevent" && narrowed === "prevent";
  }

  /** Which rules are armed and silenced. */
  get states(): RuleStates {
    return this.current;
  }

  /** The orders that have not ended. */
  get overrides(): Overrides {
    return this.orders;
  }

  /** Why files of orders cannot be used; empty if all can. */
  get problems(): readonly string[] {
    return this.stored.problems.map(({ text }) => text);
  }

  /** The rules that could act, and which of them are armed. */
  actingRules(): WardenStatus["rules"] {
    const held = new Map(this.inputs.confirmed.held.map(({ rule, ...observed }) => [rule, observed]));
    return actingRules(this.policy).map((rule) => {
      const armed = this.current.get(ruleKey(rule))?.armed ?? false;
      return {
        rule: ruleKey(rule),
        action: rule.action,
        severity: rule.severity,
        inherited: rule.inherited,
        armed: armed === false ? "nowhere" : armed === true ? "everywhere" : "somewhere",
        byConfiguration: isArmedBy(this.settings.armed, rule),
        held: held.get(ruleKey(rule)) ?? null,
      };
    });
  }

  /** Takes away at once what `settings` do not let act, until they are applied or refused. */
  narrow(settings: EnforcementSettings): void {
    this.narrowed = settings;
    this.update();
  }

  /** Gives back what `narrow` took away, unless other settings have narrowed it since. */
  refuse(settings: EnforcementSettings): void {
    if (this.narrowed === settings) this.narrowed = undefined;
    this.update();
  }

  /** Puts a policy into force, with the settings that it was loaded under. */
  apply(policy: Policy, settings: EnforcementSettings): void {
    this.policy = policy;
    this.settings = settings;
    this.inputs.confirmed.apply(policy, settings);
    if (this.narrowed === settings) this.narrowed = undefined;
    this.update();
  }

  /**
   * Reads the orders again if a file has changed since. To be called before each kill, because root may have ordered
   * otherwise while the warden was busy with earlier events. True if something has changed.
   */
  refresh(): boolean {
    if (this.inputs.version() === this.readVersion) return false;
    this.reload();
    this.inputs.onRefreshed();
    return true;
  }

  /** Reads the orders again. */
  reload(): void {
    // Before the files: one that is replaced in between is read again.
    this.readVersion = this.inputs.version();
    const before = this.problems.join();
    this.stored = this.inputs.read();
    const { problems } = this;
    if (problems.length > 0 && problems.join() !== before) this.inputs.onProblems(problems);
    this.update();
  }

  /** Nanoseconds until orders must be looked at again; undefined while none has an end. */
  dueIn(): number | undefined {
    if (!this.hasEnds) return undefined;
    const next = nextEndAfter(this.orders, this.inputs.moment());
    return next === undefined ? undefined : Math.min(next, LOOK_S) * 1e9;
  }

  /** Ends the orders whose time is over, and records again that enforcement is paused. */
  work(): void {
    if (!this.hasEnds) return;
    const moment = this.inputs.moment();
    const left = nextEndAfter(this.orders, moment);
    if (left === undefined) return;
    if (left <= 0) this.update();
    this.inputs.records.remind(moment.boottime);
  }

  /** Whether anything has changed since the last call. */
  takeChange(): boolean {
    const isChanged = this.isChanged;
    this.isChanged = false;
    return isChanged;
  }

  private update(): void {
    const { moment, records, totals } = this.inputs;
    const now = moment();
    const stored = allOrders(this.stored.overrides);
    for (const order of stored)
      if ("end" in order && order.end !== null && secondsUntil(order.end, now) <= 0) this.ended.add(order.id);
    const { confirm } = withoutOrders(inForceAt(this.stored.overrides, now), this.ended);
    for (const order of confirm) this.inputs.confirmed.confirm(order);
    for (const { id } of this.stored.overrides.confirm) this.ended.add(id);
    const ids = new Set(stored.map(({ id }) => id));
    for (const id of this.ended) if (!ids.has(id)) this.ended.delete(id);
    this.orders = withoutOrders(this.stored.overrides, this.ended);
    this.hasEnds = nextEndAfter(this.orders, now) !== undefined;
    records.onOrders(this.orders, [...this.ended], now.boottime);
    const { armed } = this.settings;
    const mayAct = (rule: NamedRule): boolean =>
      isArmedBy(armed, rule) && this.inputs.confirmed.has(ruleKey(rule));
    const states = ruleStatesOf(this.policy, mayAct, this.orders);
    const next = this.narrowed?.armed;
    this.current =
      this.narrowed === undefined
        ? states
        : bothArmed(
            states,
            ruleStatesOf(this.policy, (rule) => isArmedBy(next, rule), this.orders),
          );
    this.isChanged = true;
    this.expectVerdicts();
    totals.gauge("armedRules", {}).set(this.armedRules());
    totals.gauge("paused", {}).set(this.orders.pause.length > 0 ? 1 : 0);
    for (const kind of overrideKinds) totals.gauge("overrides", { kind }).set(this.orders[kind].length);
  }

  /**
   * Begins the counters of the verdicts that the rules in force can give at 0, because an increase from nothing to 1 is
   * none for Prometheus, and the first verdict of a rule is the one that matters.
   */
  private expectVerdicts(): void {
    const { totals } = this.inputs;
    const { rules, defaults } = this.policy;
    const ofDefault = {
      id: DEFAULT_RULE,
      ruleset: defaultRulesetOf(this.policy),
      severity: DEFAULT_SEVERITY,
    };
    const all = [...rules, ...Object.values(defaults).map((action) => ({ ...ofDefault, action }))];
    for (const { id: rule, ruleset: role, severity, action } of all)
      for (const outcome of this.usualOutcomes(action))
        totals.counter("verdicts", { role, rule, action, outcome, severity });
  }

  private usualOutcomes(action: Action): readonly Outcome[] {
    if (action === "allow") return ["allowed"];
    if (action === "alert") return ["alerted"];
    if (action === "deny")
      return this.enforcement === "observe" ? ["would_deny"] : ["would_deny", "denied", "failed"];
    const [would, done] =
      action === "stop" ? (["would_stop", "stopped"] as const) : (["would_kill", "killed"] as const);
    if (this.enforcement === "observe") return [would];
    const inKernel = this.enforcement === "prevent" && action === "kill" ? (["prevented"] as const) : [];
    return [would, done, ...inKernel, "withheld", "failed"];
  }

  /** How many rules may act, somewhere at least; a pause is not considered. */
  private armedRules(): number {
    if (this.enforcement === "observe") return 0;
    let armed = 0;
    for (const state of this.current.values()) if (state.armed !== false) armed += 1;
    return armed;
  }
}

/** The states of `a`, armed only where `b` is armed too. */
function bothArmed(a: RuleStates, b: RuleStates): RuleStates {
  return new Map(
    [...a].map(([key, state]) => [key, { ...state, armed: both(state.armed, b.get(key)?.armed ?? false) }]),
  );
}

function both(a: Holds, b: Holds): Holds {
  if (a === false || b === false) return false;
  return (subject) => holdsFor(a, subject) && holdsFor(b, subject);
}
