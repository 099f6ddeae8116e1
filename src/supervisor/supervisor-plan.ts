// The plan that a supervisor hands to its successor: open descriptors, among them the plans of its children.
import { closeSync, fstatSync, readSync } from "node:fs";
import * as v from "valibot";
import { ServiceManager } from "./service-notifier.ts";

/**
 * In the order in which a standby gets them, as 3, 4, 5... The lock is second, so that number 4 is never a child's end
 * of a control pair, by which children are recognised (descriptor-holders.ts).
 */
const names = [
  "reportOfWarden",
  "lock",
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
  "deadManOfReporter",
  "deadManOfExaminer",
  "wardenPlan",
  "reporterPlan",
  "examinerPlan",
] as const;
/** Pipes in place of the terminal that the run was started on; absent where standard output or error is no terminal. */
const pipeNames = ["output", "outputOfReporter", "errors", "errorsOfReporter"] as const;

export type DescriptorName = (typeof names)[number];

/**
 * The numbers of the run's descriptors in one process. `report*` and `*Of*` are the ends of the socket pairs between
 * warden and reporter, and between warden and examiner. `control*` without `Of` are the supervisor's ends. `packages`
 * is the watch on the package database and on /etc, `lock` the state directory's lock. `deadMan*` are the watchdog
 * timers of warden, reporter and examiner. `*Plan` are sealed files that each child reads. `output` and `errors` are the
 * reading ends of pipes that the reporter has as standard output and error.
 */
export type Descriptors = { readonly [name in DescriptorName]: number } & {
  readonly [name in (typeof pipeNames)[number]]?: number;
};

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Descriptors 0 to 2 are the standard streams. */
const descriptor = v.pipe(v.number(), v.safeInteger(), v.minValue(3));

const Numbers = v.object({
  ...v.entriesFromList(names, descriptor),
  ...v.entriesFromList(pipeNames, v.exactOptional(descriptor)),
});

/** The plan of a supervisor, which it reads as JSON from a sealed file. */
const SupervisorPlan = v.object({
  /** Identifies this run from `treewarden run` to its end, through every restart. */
  runId: v.string(),
  /** A warden that keeps crashing is started without eBPF; false if the user has chosen the sensor. */
  sensorFallback: v.boolean(),
  deadManMs: id,
  /** The reporter's user; absent if that is the supervisor's own. */
  reporterUid: v.exactOptional(id),
  descriptors: Numbers,
  /** Absent if the run was not started by a service manager. */
  serviceManager: v.exactOptional(ServiceManager),
  /** The pid of the supervisor to wait for; undefined for the first supervisor of a run. */
  standbyOf: v.exactOptional(id),
  /** The descriptor on which a standby learns of new descriptors, see standby-updates.ts. */
  updates: v.exactOptional(descriptor),
});
export type SupervisorPlan = Readonly<v.InferOutput<typeof SupervisorPlan>>;

/** Parses a plan. Throws a SyntaxError or a ValiError for a text that no supervisor wrote. */
export function parseSupervisorPlan(text: string): SupervisorPlan {
  return v.parse(SupervisorPlan, JSON.parse(text));
}

/**
 * The arguments that follow a process's role: the run's id and the number of the descriptor from which it reads its
 * plan. Every user can read the arguments of a process, so they contain nothing of the configuration.
 */
export function planArguments(runId: string, fd: number): readonly string[] {
  return [runId, String(fd)];
}

/**
 * Reads the plan that the arguments after a role name (see `planArguments`), and closes its descriptor. Throws a
 * SyntaxError if there is no plan, for example when a user calls the hidden command.
 */
export function readPlan(args: readonly string[]): string {
  const [, number = ""] = args;
  try {
    if (!/^[1-9]\d*$/.test(number)) throw new RangeError(number);
    const fd = Number(number);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new RangeError(number);
    const bytes = new Uint8Array(new ArrayBuffer(stat.size));
    // Reads from position 0: this descriptor shares its position with those of earlier children.
    for (let length = 0; length < bytes.length; ) {
      const count = readSync(fd, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    closeSync(fd);
    return new TextDecoder().decode(bytes);
  } catch (error) {
    throw new SyntaxError("no plan", { cause: error });
  }
}

/** Throws a ValiError if one is missing. */
export function completeDescriptors(descriptors: unknown): Descriptors {
  return v.parse(Numbers, descriptors);
}

/** Replaces each descriptor by the result of `change`, called in the order in which a standby gets them. */
export function mapDescriptors(from: Descriptors, change: (fd: number) => number): Descriptors {
  const changed = [...names, ...pipeNames].flatMap((name) => {
    const fd = from[name];
    return fd === undefined ? [] : [[name, change(fd)]];
  });
  return completeDescriptors(Object.fromEntries(changed));
}

/** Parses names that another process sent; undefined if one of them is none. */
export function parseDescriptorNames(value: unknown): readonly DescriptorName[] | undefined {
  const parsed = v.safeParse(v.array(v.picklist(names)), value);
  return parsed.success ? parsed.output : undefined;
}
