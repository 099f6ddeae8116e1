// What the warden answers to `treewarden status`.
import * as v from "valibot";
import { actions } from "../policy/schema.ts";

const text = v.string();
const number = v.pipe(v.number(), v.finite());
const seconds = number;

/** The facts that only the running warden knows. Times are seconds since 1970-01-01T00:00:00Z. */
export const wardenStatus = v.strictObject({
  version: text,
  run: text,
  /** When this warden started; it is restarted within a run if it dies. */
  started: seconds,
  /** When the run started, with the first of its wardens. */
  runStarted: seconds,
  sensor: v.strictObject({ source: text, reason: text }),
  /** What is in force of the configuration's enforcement. */
  enforcement: text,
  /** For how many hours a rule must be observed before the configuration alone can arm it. */
  armedSinceHours: number,
  /** Whether any verdict may act now. */
  mayAct: v.boolean(),
  /** Rules that could act. `armed`: for every event, for some, or for none. */
  rules: v.array(
    v.strictObject({
      rule: text,
      action: v.picklist(actions),
      severity: text,
      inherited: v.boolean(),
      armed: v.picklist(["everywhere", "somewhere", "nowhere"]),
      byConfiguration: v.boolean(),
      /** The configuration arms it, and it waits to be confirmed: what was observed of it; null if that is not so. */
      held: v.nullable(v.strictObject({ digest: text, seconds: number, hits: number })),
    }),
  ),
  policy: v.strictObject({ role: text, version: text, digest: text, since: seconds, rules: number }),
  /** null: none was ever accepted. */
  baseline: v.nullable(v.strictObject({ digest: v.nullable(text), trees: number, since: seconds })),
  configuration: v.strictObject({ file: v.nullable(text), digest: v.nullable(text), since: seconds }),
  /** Settings that a reload has changed and that are in force from the next start on. */
  waiting: v.array(text),
  /** Why what is in force is not what was asked for; empty if it is. */
  degraded: v.array(text),
  /** Events lost since the warden's start. */
  lost: number,
  /** Records that the journal has not confirmed. */
  backlog: number,
  killBudget: number,
  /** Trees that stand still. `pid`: of one of its live processes; `root`: of the one whose verdict it was. */
  stopped: v.array(
    v.strictObject({
      pid: number,
      root: number,
      rule: text,
      since: seconds,
      processes: number,
      continued: number,
    }),
  ),
  /** What the kernel prevents; null: nothing, because it was not asked for or the sensor cannot. */
  prevention: v.nullable(
    v.strictObject({
      /** Processes that are closed. */
      closed: number,
      /** By program and rule, those with the most processes first; not all of them if they are many. */
      programs: v.array(v.strictObject({ path: text, rule: text, processes: number })),
      /** Different programs that it ends in a minute. */
      maxPerMinute: number,
    }),
  ),
  epoch: number,
});
export type WardenStatus = Readonly<v.InferOutput<typeof wardenStatus>>;
