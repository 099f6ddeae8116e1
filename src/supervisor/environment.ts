// The environment of each process: what it needs, and nothing that could change how the runtime starts.
// (BUN_OPTIONS can load a file, BUN_BE_BUN turns the binary into a general interpreter.)

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

/** The reporter's; also the supervisors', which hand it on. */
export function reporterEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  const names = [...forEverybody, ...forTheReporter];
  return pick(from, (name) => names.includes(name) || name.startsWith("OTEL_"));
}

/** The warden's and the examiner's. The heap option: without it the collector lets garbage grow with the host's memory. */
export function wardenEnvironment(from: Readonly<Record<string, string | undefined>>): Environment {
  return { ...pick(from, (name) => forEverybody.includes(name)), BUN_JSC_largeHeapSize: "1048576" };
}
