// The environment of each process: only the variables that it needs. OpenTelemetry's variables may hold tokens, so their
// values are in the reporter's plan and in no environment. LD_PRELOAD and the like are not passed on. Of the runtime's
// variables only those of runtime-options.ts have an effect, see build/entry-stub.ts.
import { compiledEarly, mediumHeap, smallHeap, tightHeap } from "./runtime-options.ts";

export type Environment = Readonly<Record<string, string>>;

const commonVariables = ["TZ"];
const reporterVariables = ["NO_COLOR", "TERM"];

function pick(
  from: Readonly<Record<string, string | undefined>>,
  wanted: (name: string) => boolean,
): Environment {
  const picked: Record<string, string> = {};
  for (const [name, value] of Object.entries(from))
    if (value !== undefined && wanted(name)) picked[name] = value;
  return picked;
}

/** The environment of the supervisors; they pass the reporter's variables on. */
export function supervisorEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...passedOn(from), ...tightHeap };
}

function passedOn(from: Readonly<Record<string, string | undefined>>): Environment {
  const names = [...commonVariables, ...reporterVariables];
  return pick(from, (name) => names.includes(name));
}

export function reporterEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...passedOn(from), ...mediumHeap };
}

export function examinerEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...common(from), ...tightHeap };
}

export function wardenEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...common(from), ...smallHeap, ...compiledEarly };
}

function common(from: Readonly<Record<string, string | undefined>>): Environment {
  return pick(from, (name) => commonVariables.includes(name));
}
