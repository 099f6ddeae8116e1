// The environment of each process: what it needs, and nothing that could change how the runtime starts.
// (BUN_OPTIONS can load a file, BUN_BE_BUN turns the binary into a general interpreter.)
import { compiledEarly, frugal } from "./runtime-options.ts";

export type Environment = Readonly<Record<string, string>>;

const forEverybody = ["TZ"];
const forTheReporter = ["NO_COLOR", "TERM"];

function pick(
  from: Readonly<Record<string, string | undefined>>,
  wanted: (name: string) => boolean,
): Environment {
  const picked: Record<string, string> = {};
  for (const [name, value] of Object.entries(from))
    if (value !== undefined && wanted(name)) picked[name] = value;
  return picked;
}

/**
 * JavaScriptCore sizes its garbage by the host's memory unless it is told otherwise: this keeps a warden at 500 execs a
 * second at two thirds of its size, for 3 us more of CPU for each exec when it is flooded (docs/performance.md).
 */
const smallHeap = { ...frugal, BUN_JSC_forceRAMSize: "67108864" };

/** The supervisors', which hand it on to the reporter. */
export function supervisorEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  const names = [...forEverybody, ...forTheReporter];
  return pick(from, (name) => names.includes(name));
}

/** OpenTelemetry's variables, which may hold tokens: they cross in the reporter's plan, and stand in no environment. */
export function openTelemetryVariables(from: Readonly<Record<string, string | undefined>>): Environment {
  return pick(from, (name) => name.startsWith("OTEL_"));
}

export function reporterEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...supervisorEnvironment(from), ...smallHeap };
}

export function examinerEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...pick(from, (name) => forEverybody.includes(name)), ...smallHeap };
}

export function wardenEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...examinerEnvironment(from), ...compiledEarly };
}
