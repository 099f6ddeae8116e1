// What may act after any sequence of orders, reloads, restarts and steps of the clock: against a model of the contract's
// text, and the records of what began and ended.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Config } from "../../src/config/config.ts";
import type { ArmingSettings, ConfirmedRule } from "../../src/enforcement/configured-arming.ts";
import {
  withArmed,
  withDisarmed,
  withoutArmed,
  withPause,
  withSilence,
} from "../../src/enforcement/override-edits.ts";
import {
  formatOrders,
  inForceAt,
  noOverrides,
  type OrderEnd,
  type OverrideKind,
  type Overrides,
  overrideKinds,
  parseOrders,
  parseRecorded,
  withoutOrders,
} from "../../src/enforcement/overrides.ts";
import { ruleDigests } from "../../src/enforcement/rule-digest.ts";
import { holdsFor } from "../../src/policy/rule-state.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { Totals } from "../../src/report/totals.ts";
import { endAfter, type Moment, secondsUntil } from "../../src/vocabulary/moment.ts";
import { ConfirmedRules } from "../../src/warden/confirmed-rules.ts";
import { EnforcementInForce } from "../../src/warden/enforcement-in-force.ts";
import { OverrideRecords } from "../../src/warden/override-records.ts";
import { policyOf } from "../policy/helpers.ts";

const when = { "==": [{ var: "process.executable.name" }, "dash"] };
const policy = policyOf(["a", "b", "c"].map((id) => ({ id, when, action: "kill" })));
const digests = ruleDigests(policy);
const subject = testSubject({ lineage: ["/usr/sbin/nginx", "/usr/bin/dash"] });
const rules = ["role/a", "role/b", "role/c"];
const units = ["one.service", "two.service"];
const users = [33, 1_000];

/** One place where a rule may act. */
interface Cell {
  readonly rule: string;
  readonly unit: string;
  readonly user: number;
}
const cells: readonly Cell[] = rules.flatMap((rule) =>
  units.flatMap((unit) => users.map((user) => ({ rule, unit, user }))),
);

/** The files, the clocks, and a warden that is restarted now and then. */
class Host {
  now: Moment = { wall: 1_790_000_000, boot: "0", boottime: 100 };
  settings: ArmingSettings = { enforcement: "kill", armed: [], armed_since_hours: 168 };
  readonly changes: { readonly event: string; readonly details: EventRecord }[] = [];
  warden: EnforcementInForce;
  /** How often verdicts have found other orders. */
  refreshed = 0;
  private readonly files = new Map<OverrideKind, string>();
  private version = 0;
  private saved = "";
  private savedConfirmed: readonly ConfirmedRule[] = [];
  private ids = 0;

  constructor() {
    this.warden = this.start();
  }

  restart(): void {
    this.warden = this.start();
  }

  reload(settings: ArmingSettings, inForce = policy): void {
    this.settings = settings;
    this.warden.apply(inForce, settings);
  }

  get orders(): Overrides {
    const read = <K extends OverrideKind>(kind: K): Overrides[K] =>
      parseOrders[kind](this.files.get(kind) ?? "") ?? noOverrides[kind];
    return {
      arm: read("arm"),
      disarm: read("disarm"),
      confirm: read("confirm"),
      pause: read("pause"),
      silence: read("silence"),
    };
  }

  /** As a command does it. */
  give(change: (orders: Overrides) => Overrides): void {
    const ended = new Set(parseRecorded(this.saved)?.ended);
    const changed = change(inForceAt(withoutOrders(this.orders, ended), this.now));
    for (const kind of overrideKinds) this.files.set(kind, formatOrders(kind, changed));
    this.version += 1;
  }

  confirm(): void {
    const orders = rules.map((rule) => ({ ...this.order(), rule, digest: digests.get(rule) ?? "" }));
    this.give((before) => ({ ...before, confirm: [...before.confirm, ...orders] }));
  }

  /** As by a full disk: what the warden has recorded of the orders is gone. */
  loseRecorded(): void {
    this.saved = "";
  }

  order() {
    this.ids += 1;
    const id = String(this.ids).padStart(16, "0");
    return {
      id,
      since: this.now.wall,
      by: { pid: 1, login_user: null, session: null, tree: null },
      reason: "x",
    };
  }

  acts({ rule, unit, user }: Cell): boolean {
    this.warden.refresh();
    this.warden.work();
    const armed = this.warden.states.get(rule)?.armed ?? false;
    const facts = { ...subject.facts, uid: user };
    return this.warden.mayAct && holdsFor(armed, { ...subject, unit, facts });
  }

  private start(): EnforcementInForce {
    const records = new OverrideRecords({
      saved: parseRecorded(this.saved),
      save: (text) => {
        this.saved = text;
      },
      recordChange: (event, details) => this.changes.push({ event, details }),
    });
    const confirmed = new ConfirmedRules({
      stateDirectory: "/state",
      writeFile: (_path, text) => {
        this.savedConfirmed = JSON.parse(text).rules;
      },
      recordChange: (event, details) => this.changes.push({ event, details }),
      policy,
      settings: this.settings,
      saved: this.savedConfirmed,
      observed: () => new Map(),
      now: () => this.now.wall,
    });
    return new EnforcementInForce({
      settings: this.settings,
      confirmed,
      policy,
      totals: new Totals(),
      read: () => ({ overrides: this.orders, problems: [], holdsAll: false }),
      version: () => String(this.version),
      moment: () => this.now,
      records,
      onProblems: () => undefined,
      onRefreshed: () => {
        this.refreshed += 1;
      },
    });
  }
}

interface Target {
  readonly rule: string | null;
  readonly unit: string | null;
  readonly user: number | null;
}
interface Given extends Target {
  readonly kind: "arm" | "disarm";
  readonly end: OrderEnd | null;
}

/**
 * The text: configuration plus arm, minus disarm, minus pause; only `arm` or the end of --for arms again. What the
 * configuration newly names waits to be confirmed, unless `armed_since_hours` is 0.
 */
class Model {
  given: Given[] = [];
  pauses: OrderEnd[] = [];
  /** What the configuration arms, and of that what is confirmed. */
  named: readonly string[] = [];
  confirmed: readonly string[] = [];
  isAtOnce = false;

  /** The configuration is read. */
  read(): void {
    this.confirmed = this.isAtOnce ? this.named : this.confirmed.filter((rule) => this.named.includes(rule));
  }

  arm(target: Target): void {
    // An order to disarm the same, or a part of it, is over.
    this.given = this.given.filter(
      ({ kind, rule, unit }) =>
        kind === "arm" ||
        rule !== target.rule ||
        target.user !== null ||
        (target.unit !== null && target.unit !== unit),
    );
    this.given.push({ kind: "arm", ...target, end: null });
  }

  disarm(target: Target, end: OrderEnd | null): void {
    // An order to arm that is disarmed for good does not come back.
    if (end === null)
      this.given = this.given.filter(
        ({ kind, rule, unit }) =>
          kind === "disarm" ||
          (target.rule !== null && target.rule !== rule) ||
          (target.unit !== null && target.unit !== unit),
      );
    this.given.push({ kind: "disarm", ...target, end });
  }

  endArm(target: Target): void {
    this.given = this.given.filter(
      ({ kind, rule, unit, user }) =>
        kind === "disarm" || rule !== target.rule || unit !== target.unit || user !== target.user,
    );
  }

  acts(cell: Cell, now: Moment): boolean {
    if (this.pauses.some((end) => secondsUntil(end, now) > 0)) return false;
    const covers = (target: Target): boolean =>
      (target.rule ?? cell.rule) === cell.rule &&
      (target.unit ?? cell.unit) === cell.unit &&
      (target.user ?? cell.user) === cell.user;
    const isArmed =
      this.confirmed.includes(cell.rule) || this.given.some((each) => each.kind === "arm" && covers(each));
    const isDisarmed = this.given.some((each, i) => {
      if (each.kind === "arm" || !covers(each)) return false;
      if (each.end !== null && secondsUntil(each.end, now) <= 0) return false;
      return !this.given.slice(i + 1).some((later) => later.kind === "arm" && covers(later));
    });
    return isArmed && !isDisarmed;
  }

  /** What has ended is gone for good, wherever the clock is set to. */
  look(now: Moment): void {
    const isOn = (end: OrderEnd | null): boolean => end === null || secondsUntil(end, now) > 0;
    this.given = this.given.filter(({ end }) => isOn(end));
    this.pauses = this.pauses.filter(isOn);
  }
}

type Step =
  | {
      readonly do: "arm" | "end arm";
      readonly rule: string;
      readonly unit: string | null;
      readonly user: number | null;
    }
  | {
      readonly do: "disarm";
      readonly rule: string | null;
      readonly unit: string | null;
      readonly seconds: number | null;
    }
  | { readonly do: "pause"; readonly seconds: number }
  | { readonly do: "resume" | "restart" | "reboot" | "silence" | "confirm" }
  | { readonly do: "reload"; readonly armed: Config["armed"]; readonly hours: number }
  | { readonly do: "wait" | "set clock"; readonly seconds: number };

const unit = fc.constantFrom(null, null, ...units);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("arm" as const, "arm" as const, "end arm" as const),
    rule: fc.constantFrom(...rules),
    unit,
    user: fc.constantFrom(null, ...users),
  }),
  fc.record({
    do: fc.constant("disarm" as const),
    rule: fc.constantFrom(null, ...rules),
    unit,
    seconds: fc.constantFrom(null, 10, 100),
  }),
  fc.record({ do: fc.constant("pause" as const), seconds: fc.constantFrom(10, 100) }),
  fc.record({
    do: fc.constantFrom(
      "resume" as const,
      "restart" as const,
      "reboot" as const,
      "silence" as const,
      "confirm" as const,
    ),
  }),
  fc.record({
    do: fc.constant("reload" as const),
    armed: fc.oneof(fc.constant("all" as const), fc.subarray(rules)),
    hours: fc.constantFrom(0, 168),
  }),
  fc.record({ do: fc.constant("wait" as const), seconds: fc.constantFrom(1, 9, 50, 100) }),
  fc.record({ do: fc.constant("set clock" as const), seconds: fc.constantFrom(-1_000, -5, 5, 1_000) }),
);

function take(host: Host, model: Model, each: Step): void {
  const { now } = host;
  switch (each.do) {
    case "arm": {
      const { rule, unit: its, user } = each;
      host.give((orders) => withArmed(orders, { ...host.order(), rule, unit: its, user }));
      model.arm({ rule, unit: its, user });
      break;
    }
    case "end arm": {
      const { rule, unit: its, user } = each;
      host.give((orders) => withoutArmed(orders, { rule, unit: its, user }));
      model.endArm({ rule, unit: its, user });
      break;
    }
    case "confirm":
      host.confirm();
      model.confirmed = model.named;
      break;
    case "disarm": {
      const end = each.seconds === null ? null : endAfter(each.seconds, now);
      const { rule, unit: its } = each;
      host.give((orders) => withDisarmed(orders, { ...host.order(), rule, unit: its, except: [], end }, now));
      model.disarm({ rule, unit: its, user: null }, end);
      break;
    }
    case "pause": {
      const end = endAfter(each.seconds, now);
      host.give((orders) => withPause(orders, { ...host.order(), end }, now));
      // Enforcement is paused until the last of them has ended.
      model.pauses.push(end);
      break;
    }
    case "resume":
      host.give((orders) => ({ ...orders, pause: [] }));
      model.pauses = [];
      break;
    case "silence":
      host.give((orders) =>
        withSilence(orders, {
          ...host.order(),
          number: 1,
          rule: "role/a",
          tree: null,
          unit: null,
          end: endAfter(9, now),
        }),
      );
      break;
    case "reload":
      model.named = each.armed === "all" ? rules : [...(each.armed ?? [])];
      model.isAtOnce = each.hours === 0;
      model.read();
      host.reload({ enforcement: "kill", armed: each.armed, armed_since_hours: each.hours });
      break;
    case "restart":
      host.restart();
      break;
    case "reboot":
      host.now = { wall: now.wall + 5, boot: `${now.boot}+`, boottime: 3 };
      host.restart();
      break;
    case "wait":
      host.now = { ...now, wall: now.wall + each.seconds, boottime: now.boottime + each.seconds };
      break;
    case "set clock":
      host.now = { ...now, wall: now.wall + each.seconds };
      break;
  }
}

/** Two orders with ten seconds left each, the second of which ends first because the clock is set forward. */
const clockSetBetween: Step[] = [
  { do: "disarm", rule: null, unit: null, seconds: 10 },
  { do: "arm", rule: "role/a", unit: null, user: null },
  { do: "set clock", seconds: -1_000 },
  { do: "disarm", rule: null, unit: null, seconds: 10 },
  { do: "set clock", seconds: 1_000 },
  { do: "reload", armed: "all", hours: 0 },
];

/** Two pauses, of which the second lasts longer until the clock is set forward. */
const clockSetBetweenPauses: Step[] = [
  { do: "reload", armed: "all", hours: 0 },
  { do: "pause", seconds: 10 },
  { do: "set clock", seconds: -1_000 },
  { do: "wait", seconds: 1 },
  { do: "pause", seconds: 10 },
  { do: "set clock", seconds: 1_000 },
];

test("after any sequence of orders, reloads, restarts and clock steps the same acts as in the model", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const host = new Host();
      const model = new Model();
      for (const each of steps) {
        take(host, model, each);
        model.look(host.now);
        for (const cell of cells)
          expect([each.do, cell, host.acts(cell)]).toEqual([each.do, cell, model.acts(cell, host.now)]);
      }
    }),
    { numRuns: 200, examples: [[clockSetBetween], [clockSetBetweenPauses]] },
  );
});

describe("an order to confirm", () => {
  const armed: ArmingSettings = { enforcement: "kill", armed: ["role/a"], armed_since_hours: 168 };
  const cell = { rule: "role/a", unit: "one.service", user: 33 };

  test("that was carried out does not arm the rule again, although no record of that is left", () => {
    const host = new Host();
    host.reload(armed);
    host.confirm();
    expect(host.acts(cell)).toBe(true);
    host.reload({ ...armed, armed: [] });
    host.now = { ...host.now, wall: host.now.wall + 601, boottime: host.now.boottime + 601 };
    host.loseRecorded();
    host.reload(armed);
    host.restart();
    expect(host.acts(cell)).toBe(false);
    host.confirm();
    expect(host.acts(cell)).toBe(true);
  });

  test("concerns the rule as it was when the order was given", () => {
    const changed = policyOf([
      { id: "a", when: { "==": [{ var: "process.executable.name" }, "nc"] }, action: "kill" },
    ]);
    const host = new Host();
    host.reload(armed, changed);
    host.confirm();
    expect(host.acts(cell)).toBe(false);
    expect(host.changes.map(({ event }) => event)).not.toContain("rule.confirmed");
  });
});

describe("a pause", () => {
  const pauseOf = (host: Host, seconds: number): void =>
    host.give((orders) => withPause(orders, { ...host.order(), end: endAfter(seconds, host.now) }, host.now));
  const wait = (host: Host, seconds: number): void => {
    host.now = { ...host.now, wall: host.now.wall + seconds, boottime: host.now.boottime + seconds };
    host.warden.work();
  };

  test("is recorded with high severity at its start, every 15 minutes, and when it ends", () => {
    const host = new Host();
    pauseOf(host, 3_000);
    host.warden.refresh();
    for (let i = 0; i < 51; i += 1) wait(host, 60);
    expect(host.changes.map(({ event }) => event)).toEqual([
      "enforcement.paused",
      "enforcement.paused",
      "enforcement.paused",
      "enforcement.paused",
      "enforcement.pause_ended",
    ]);
    for (const { details } of host.changes) expect(details["policy.severity"]).toBe("high");
    expect(host.changes.at(-1)?.details["override.ended_by"]).toBe("time");
  });

  test("that a verdict finds before its request is read is put into force for the kernel, too, once", () => {
    const host = new Host();
    host.warden.refresh();
    expect(host.refreshed).toBe(0);
    pauseOf(host, 3_000);
    host.warden.refresh();
    host.warden.refresh();
    expect([host.refreshed, host.warden.mayAct]).toEqual([1, false]);
  });

  test("that is taken back is recorded as ended by an order", () => {
    const host = new Host();
    pauseOf(host, 3_000);
    host.warden.refresh();
    host.give((orders) => ({ ...orders, pause: [] }));
    host.warden.refresh();
    expect(host.changes.at(-1)).toMatchObject({
      event: "enforcement.pause_ended",
      details: { "override.ended_by": "order" },
    });
  });

  test("has the warden look at the clocks at least once a minute, and without one never", () => {
    const host = new Host();
    expect(host.warden.dueIn()).toBeUndefined();
    pauseOf(host, 3_000);
    host.warden.refresh();
    expect(host.warden.dueIn()).toBe(60e9);
    wait(host, 2_990);
    expect(host.warden.dueIn()).toBe(10e9);
  });
});
