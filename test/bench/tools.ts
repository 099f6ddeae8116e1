// What is measured side by side: treewarden, and the peers that Debian has.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

export interface Tool {
  readonly name: string;
  /** Debian's package; undefined for treewarden itself. */
  readonly package?: string;
  /** The command, and the file that its standard output goes to. */
  readonly command: (folder: string) => readonly string[];
  /** It tells execs on standard output; else it only counts. */
  readonly tells: boolean;
  readonly needsTracefs?: boolean;
}

const binary = join(import.meta.dir, "../../dist/treewarden");

export const tools: readonly Tool[] = [
  { name: "extrace", package: "extrace", command: () => ["extrace", "-f"], tells: true },
  {
    name: "forkstat",
    package: "forkstat",
    command: () => ["forkstat", "-e", "fork,exec,exit", "-l"],
    tells: true,
  },
  {
    name: "execsnoop",
    package: "libbpf-tools",
    command: () => ["execsnoop"],
    tells: true,
    needsTracefs: true,
  },
  ...(["netlink", "ebpf"] as const).flatMap((source): Tool[] => [
    {
      name: `treewarden trace (${source})`,
      command: () => [binary, "trace", "--output", "json", "--source", source],
      tells: true,
    },
    {
      name: `treewarden run (${source}, observe)`,
      command: (folder) => [binary, "run", "--source", source, ...quiet(folder)],
      tells: false,
    },
  ]),
];

function quiet(folder: string): string[] {
  const state = join(folder, "state");
  mkdirSync(state, { recursive: true });
  return ["--output", "json", "--listen", "off", "--state-dir", state];
}
