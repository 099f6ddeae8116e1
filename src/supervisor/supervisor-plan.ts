// What a supervisor hands to its successor: arguments and open descriptors, and nothing else.

const names = [
  "reportOfWarden",
  "reportOfReporter",
  "controlWarden",
  "controlOfWarden",
  "controlReporter",
  "controlOfReporter",
  "controlExaminer",
  "controlOfExaminer",
  "examinerOfWarden",
  "wardenOfExaminer",
  "packages",
  "deadMan",
  "lock",
] as const;

/**
 * The numbers of the run's descriptors in one process. `report*` and `*Of*`: the two ends of the pairs between warden
 * and reporter, and between warden and examiner. `control*` without `Of`: the supervisor's ends. `packages`: the watch
 * on the package database. `lock`: the state directory's.
 */
export type Descriptors = { readonly [name in (typeof names)[number]]: number };

/** How a supervisor is started: one argument of JSON. */
export interface SupervisorPlan {
  /** Names this run, from `treewarden run` to its end, through every restart. */
  readonly runId: string;
  readonly wardenArgs: readonly string[];
  readonly reporterArgs: readonly string[];
  readonly examinerArgs: readonly string[];
  /** A warden that crashes again and again is started without eBPF: nobody has chosen its sensor. */
  readonly sensorFallback: boolean;
  /** Null: the supervisor's own user, because it may not change it. */
  readonly reporterUser: { readonly uid: number; readonly gid: number } | null;
  readonly deadManMs: number;
  readonly descriptors: Descriptors;
  /** The pid of the supervisor to wait for; undefined for the first supervisor of a run. */
  readonly standbyOf?: number;
}

/**
 * The plan in `text`; throws a SyntaxError if it is not one. They are treewarden's own words, so only what a person
 * who tries the hidden command could get wrong is looked at; a schema library would be a third of this process.
 */
export function parseSupervisorPlan(text: string): SupervisorPlan {
  const plan: SupervisorPlan = JSON.parse(text);
  const numbers: unknown = Object(plan).descriptors;
  const isPlan = typeof Object(plan).runId === "string" && names.every((name) => Object(numbers)[name] >= 3);
  if (!isPlan) throw new SyntaxError("not a plan");
  return plan;
}

/** Each descriptor replaced by what `change` makes of it, in a fixed order. */
export function mapDescriptors(from: Descriptors, change: (fd: number) => number): Descriptors {
  return {
    reportOfWarden: change(from.reportOfWarden),
    // Stands early so that a standby, which gets them as 3, 4, 5... in this order, never has a child's end of a
    // control pair as number 4: that is how children are known (adopt.ts).
    lock: change(from.lock),
    reportOfReporter: change(from.reportOfReporter),
    controlWarden: change(from.controlWarden),
    controlOfWarden: change(from.controlOfWarden),
    controlReporter: change(from.controlReporter),
    controlOfReporter: change(from.controlOfReporter),
    controlExaminer: change(from.controlExaminer),
    controlOfExaminer: change(from.controlOfExaminer),
    examinerOfWarden: change(from.examinerOfWarden),
    wardenOfExaminer: change(from.wardenOfExaminer),
    packages: change(from.packages),
    deadMan: change(from.deadMan),
  };
}
