// The only control sequences (SGR of ECMA-48) that treewarden writes to a terminal while it runs.

export const colours = {
  alert: "\x1b[33m",
  kill: "\x1b[1;31m",
  change: "\x1b[36m",
  dim: "\x1b[2m",
} as const;
export const endOfColour = "\x1b[0m";
