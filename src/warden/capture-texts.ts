// Names of the texts in a capture that decide. Each is written whole, and again when it changes.

export const captureTexts = {
  /** The base list, as base.json has it. */
  base: "base",
  /** The policy as one file, as `policy show` prints it. */
  policy: "policy",
  /** The file of exclusions; empty if there is none. */
  exclusions: "exclusions",
  /** The live processes and their lineages when the capture began. */
  forest: "forest",
  /** JSON: the names of the baselines that are in force from here on, each a text that came before. */
  baselinesInForce: "baselines_in_force",
} as const;

/** Of the host's own baseline, of those that come with roles, and of what treewarden starts itself. */
export const baselineTexts = {
  host: "host_baseline",
  own: "treewarden_baseline",
  ofRole: (index: number): string => `${ROLE_PREFIX}${index}`,
} as const;

const ROLE_PREFIX = "role_baseline_";

export function isRoleBaseline(name: string): boolean {
  return name.startsWith(ROLE_PREFIX);
}

export function isBaseline(name: string): boolean {
  return name === baselineTexts.host || name === baselineTexts.own || isRoleBaseline(name);
}
