// `treewarden status`: what is enforced here, since when and by whom, and what differs from the configuration.

import { SQLiteError } from "bun:sqlite";
import { statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { defaultStateDirectory } from "../config/config.ts";
import { observationText } from "../enforcement/configured-arming.ts";
import type { AnyOrder, OrderEnd, Overrides } from "../enforcement/overrides.ts";
import { realtimeNow } from "../linux/clock.ts";
import { printable } from "../linux/text.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import { localTimeOf } from "../report/local-time.ts";
import { recordUids, timestamp } from "../report/stamp.ts";
import { JOURNAL_FILE } from "../reporter/journal-reader.ts";
import { PROBLEMS, parseProblems, type ReporterProblem } from "../reporter/reporter-problems.ts";
import type { OutputName } from "../vocabulary/event-names.ts";
import { orderFields } from "../warden/override-records.ts";
import { momentNow, ordersInForce, readOverrides } from "../warden/overrides-store.ts";
import type { WardenStatus } from "../warden/warden-status.ts";
import { isConfigurationChanged } from "./configuration.ts";
import { runChecks } from "./doctor/checks.ts";
import { CONFIRM_HINT } from "./enforcement.ts";
import { configOption, type HostFlags, hostConfig, stateDirOption } from "./host-settings.ts";
import { openJournal } from "./open-journal.ts";
import { CommandError, exitCodes } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { askWarden, isWardenRunning } from "./request-warden.ts";
import { actingRulesText, rulesText } from "./rules-text.ts";

interface StatusFlags extends HostFlags {
  readonly output: OutputFormat;
}

export function statusCommand(): Command {
  return new Command("status")
    .description("show what is enforced here, since when and by whom; exit code 1 if anything is degraded")
    .addOption(outputOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: StatusFlags) => showStatus(flags));
}

/** All that is shown. */
interface Status {
  /** undefined if no warden runs. */
  readonly warden: WardenStatus | undefined;
  readonly orders: Overrides;
  readonly degraded: readonly string[];
  /** What `doctor` would warn of. */
  readonly warnings: readonly string[];
  /** The configuration on disk is not the one in force. */
  readonly changed: readonly string[];
  /** Bytes; undefined if there is none, or it may not be seen. */
  readonly journal: number | undefined;
  /** What the reporter states about its outputs. It may be taken over, so nothing is decided by it. */
  readonly reporter: readonly ReporterProblem[];
}

async function showStatus(flags: StatusFlags): Promise<void> {
  const status = await statusOf(flags);
  process.stdout.write(flags.output === "json" ? json(status) : pretty(status));
  if (status.degraded.length > 0) process.exitCode = exitCodes.no;
}

async function statusOf(flags: StatusFlags): Promise<Status> {
  const stateDirectory = stateDirectoryOf(flags);
  const answer = await askWarden(stateDirectory, { kind: "status" });
  const warden = answer?.status ?? undefined;
  const stored = readOverrides(stateDirectory);
  const { checks } = runChecks(flags.config);
  const degraded = warden?.degraded ?? [
    `no treewarden runs on ${stateDirectory}`,
    ...stored.problems.map(({ text }) => text),
  ];
  const isChanged = warden !== undefined && isConfigurationChanged(warden.configuration);
  const root = {
    warden,
    orders: ordersInForce(stateDirectory, stored, momentNow()),
    warnings: checks
      .filter(({ status }) => status !== "ok")
      .map(({ name, detail, fix }) => `${name}: ${detail}${fix === undefined ? "" : `; ${fix}`}`),
    changed: [
      ...(isChanged ? ["the configuration file was changed after it was read: treewarden reload"] : []),
      ...(warden?.waiting ?? []).map((name) => `${name} was changed and waits for a restart`),
    ],
    journal: statSync(join(stateDirectory, JOURNAL_FILE), { throwIfNoEntry: false })?.size,
  };
  // The last thing of all, because it needs the reporter's rights and gives up root's.
  const reporter = warden === undefined ? [] : statedByReporter(stateDirectory);
  const notListening = reporter.filter(({ what }) => what === "endpoint").map(statementText);
  return { ...root, degraded: [...degraded, ...notListening], reporter };
}

/** Nothing if there is no journal that this user may read. */
function statedByReporter(stateDirectory: string): readonly ReporterProblem[] {
  try {
    using journal = openJournal(stateDirectory);
    return parseProblems(journal.recall(PROBLEMS));
  } catch (error) {
    if (error instanceof CommandError || error instanceof SQLiteError) return [];
    throw error;
  }
}

function statementText({ since, text }: ReporterProblem): string {
  return `the reporter states, since ${at(since / 1_000)}: ${text}`;
}

/** With a configuration that has errors the default state directory is looked at, because that is when one asks. */
function stateDirectoryOf(flags: StatusFlags): string {
  try {
    return hostConfig(flags, "to decide").state_directory;
  } catch (error) {
    const { stateDir } = flags;
    const likely = stateDir ?? defaultStateDirectory;
    if (!(error instanceof CommandError) || (stateDir === undefined && !isWardenRunning(likely))) throw error;
    return likely;
  }
}

function pretty(status: Status): string {
  const { warden, orders, degraded, warnings, changed, journal, reporter } = status;
  const lines: string[] = [];
  const section = (title: string, entries: readonly string[]): void => {
    if (entries.length === 0) return;
    lines.push(title, ...entries.map((entry) => `  ${printable(entry)}`));
  };
  if (warden === undefined) lines.push(`${hostname()}: treewarden does not run`);
  else
    lines.push(
      `${hostname()}: treewarden ${warden.version}, running since ${at(warden.runStarted)}, warden since ${at(warden.started)}`,
    );
  section("degraded:", degraded);
  if (warden !== undefined) section("enforcement:", enforcementLines(warden));
  if (warden !== undefined) section("prevention:", preventionLines(warden));
  if (warden !== undefined) section("stopped:", warden.stopped.map(stoppedText));
  section("differs from the configuration:", [...ordersLines(orders), ...changed]);
  if (warden !== undefined) {
    section("in force:", inForceLines(warden));
    section("sensor:", [`${warden.sensor.source} (${warden.sensor.reason})`, `${warden.lost} events lost`]);
  }
  const size = journal === undefined ? "no journal" : `journal of ${(journal / 1e6).toFixed(1)} MB`;
  section("reporting:", [
    ...(warden === undefined ? [] : [backlogText(warden.backlog)]),
    size,
    ...reporter.map(statementText),
  ]);
  section("doctor warns:", warnings);
  return `${lines.join("\n")}\n`;
}

function enforcementLines(warden: WardenStatus): readonly string[] {
  const { enforcement, mayAct, rules, killBudget } = warden;
  if (enforcement === "observe") return ["observe: nothing acts"];
  const armed = rules.filter((rule) => rule.armed !== "nowhere");
  const state = mayAct ? "" : ", but nothing acts now";
  const lines = armed.map(({ rule, action, severity, inherited, armed: where, byConfiguration }) => {
    const facts = [severity];
    if (inherited) facts.push("inherited");
    if (!byConfiguration) facts.push("armed by hand");
    if (where === "somewhere") facts.push("not everywhere");
    return `may ${action} ${rule} (${facts.join(", ")})`;
  });
  const held = heldRules(warden);
  return [
    `${enforcement}: ${armed.length} of ${rules.length} ${actingRulesText(rules)} are armed${state}`,
    ...lines,
    ...held,
    ...(held.length === 0 ? [] : [CONFIRM_HINT]),
    `${killBudget} further offenders may be killed in this minute`,
  ];
}

function preventionLines({ prevention }: WardenStatus): readonly string[] {
  if (prevention === null) return [];
  const { closed, programs, maxPerMinute } = prevention;
  const named = programs.map(
    ({ path, rule, processes }) => `${path}: ${processesText(processes)}, closed by ${rule}`,
  );
  return [
    `${closed === 1 ? "1 process is" : `${closed} processes are`} closed: what armed rules kill there dies before its first instruction`,
    ...named,
    `at most ${maxPerMinute} different programs are ended so in a minute`,
  ];
}

function backlogText(records: number): string {
  return records === 1 ? "1 record waits for the journal" : `${records} records wait for the journal`;
}

function processesText(count: number): string {
  return `${count} ${count === 1 ? "process" : "processes"}`;
}

function stoppedText({ pid, rule, since, processes, continued }: WardenStatus["stopped"][number]): string {
  const many = processesText(processes);
  const times = continued === 0 ? "" : `, continued by somebody ${continued} times and stopped again`;
  return `${pid}: ${many} by ${rule} since ${at(since)}${times}; treewarden release ${pid}, or kill ${pid}`;
}

/** A line for each rule that the configuration arms and that waits to be confirmed. */
export function heldRules({ rules, armedSinceHours }: WardenStatus): readonly string[] {
  return rules.flatMap(({ rule, held }) =>
    held === null ? [] : [`waits to be confirmed: ${rule} (${observationText(held, armedSinceHours)})`],
  );
}

function inForceLines({ configuration, policy, baseline }: WardenStatus): readonly string[] {
  const file = configuration.file ?? "no configuration file: defaults";
  const digest = configuration.digest === null ? "" : ` ${configuration.digest}`;
  return [
    `configuration ${file}${digest}, since ${at(configuration.since)}`,
    `policy ${policy.role}, ${rulesText(policy.rules)}, version ${policy.version}, sha256:${policy.digest}, since ${at(policy.since)}`,
    baseline === null
      ? "no baseline"
      : `baseline of ${baseline.trees} trees${baseline.digest === null ? "" : ` ${baseline.digest}`}, since ${at(baseline.since)}`,
  ];
}

function ordersLines({ arm, disarm, confirm, pause, silence }: Overrides): readonly string[] {
  const ordered = (what: string, order: AnyOrder): string => {
    const until = "end" in order && order.end !== null ? ` until ${endTime(order.end)}` : "";
    const user = order.by.login_user === null ? "no login user" : `login user ${order.by.login_user}`;
    const reason = order.reason === null ? "" : `: ${order.reason}`;
    const tree = order.by.tree === null ? "" : `, ${order.by.tree}`;
    return `${what}${until}, since ${at(order.since)} by ${user}${tree}${reason}`;
  };
  const place = ({ unit, user }: { readonly unit: string | null; readonly user?: number | null }): string =>
    `${unit === null ? "" : ` in ${unit}`}${user === undefined || user === null ? "" : ` for user ${user}`}`;
  return [
    ...pause.map((order) => ordered("paused", order)),
    ...disarm.map((order) => {
      const but = order.except.map((target) => `${target.rule}${place(target)}`).join(", ");
      const what = `disarmed ${order.rule ?? "every rule"}${place(order)}${but === "" ? "" : `, but not ${but}`}`;
      return ordered(what, order);
    }),
    ...arm.map((order) => ordered(`armed ${order.rule}${place(order)}`, order)),
    ...confirm.map((order) => ordered(`confirmed ${order.rule}, from the next start on`, order)),
    ...silence.map((order) => {
      const tree = order.tree === null ? "" : ` in ${order.tree}`;
      return ordered(`silenced (${order.number}) ${order.rule}${tree}${place(order)}`, order);
    }),
  ];
}

function json(status: Status): string {
  const uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  const line = (event: OutputName, fields: EventRecord): string => {
    const now = realtimeNow();
    const common = { timestamp: timestamp(now), "event.name": event, "log.record.uid": uid(now) };
    return `${JSON.stringify({ ...common, ...fields })}\n`;
  };
  const { orders } = status;
  return [
    line("status.host", statusFields(status)),
    ...orders.pause.map((order) => line("enforcement.paused", orderFields(order))),
    ...orders.disarm.map((order) => line("rule.disarmed", orderFields(order))),
    ...orders.arm.map((order) => line("rule.armed", orderFields(order))),
    ...orders.confirm.map((order) => line("rule.confirmed", orderFields(order))),
    ...orders.silence.map((order) => line("rule.silenced", orderFields(order))),
  ].join("");
}

function statusFields(status: Status): EventRecord {
  const { warden, orders, degraded, warnings, changed, journal, reporter } = status;
  const fields: RecordDraft = {
    "host.name": hostname(),
    "status.running": warden !== undefined,
    "status.degraded": degraded,
    "status.warnings": warnings,
    "status.changed": changed,
    "status.paused": orders.pause.length > 0,
    "status.reporter": reporter.map(({ text }) => printable(text)),
    ...(journal === undefined ? {} : { "status.journal.bytes": journal }),
  };
  if (warden === undefined) return fields;
  const { sensor, rules, policy, baseline, configuration } = warden;
  return {
    ...fields,
    "status.version": warden.version,
    "status.run.since": utc(warden.runStarted),
    "status.warden.since": utc(warden.started),
    "sensor.source": sensor.source,
    "sensor.reason": sensor.reason,
    "policy.enforcement": warden.enforcement,
    "status.may_act": warden.mayAct,
    "status.armed_rules": rules.filter(({ armed }) => armed !== "nowhere").map(({ rule }) => rule),
    "status.held_rules": rules.filter(({ held }) => held !== null).map(({ rule }) => rule),
    "security_rule.ruleset.name": policy.role,
    "security_rule.version": policy.version,
    "status.policy.digest": `sha256:${policy.digest}`,
    "status.policy.since": utc(policy.since),
    ...(configuration.file === null ? {} : { "status.configuration.file": configuration.file }),
    ...(configuration.digest === null ? {} : { "status.configuration.digest": configuration.digest }),
    "status.configuration.since": utc(configuration.since),
    ...(baseline === null
      ? {}
      : {
          "baseline.trees": baseline.trees,
          "status.baseline.since": utc(baseline.since),
          ...(baseline.digest === null ? {} : { "status.baseline.digest": baseline.digest }),
        }),
    "status.stopped": warden.stopped.map(({ pid }) => pid),
    ...(warden.prevention === null
      ? {}
      : {
          "status.closed_processes": warden.prevention.closed,
          "status.closed_programs": warden.prevention.programs.map(({ path }) => printable(path)),
        }),
    "status.lost": warden.lost,
    "status.backlog": warden.backlog,
    "status.epoch": warden.epoch,
  };
}

function at(seconds: number): string {
  return localTimeOf(Math.floor(seconds) * 1_000);
}

function endTime({ wall }: OrderEnd): string {
  return at(wall);
}

function utc(seconds: number): string {
  return timestamp(seconds * 1e9);
}
