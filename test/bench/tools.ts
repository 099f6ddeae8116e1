// What is measured side by side: treewarden, and the peers that Debian has.
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";

export type Source = "netlink" | "ebpf";

export interface Place {
  /** The file of treewarden's program. */
  readonly treewarden: string;
  /** Free for the tool, gone after it. */
  readonly folder: string;
  readonly port: number;
}

export interface Tool {
  readonly name: string;
  /** Debian's package; undefined for treewarden itself. */
  readonly package?: string;
  readonly command: (place: Place) => readonly string[];
  /** It tells every exec on standard output: as text, or as records with trees. Else it only counts, at /metrics. */
  readonly tells: "text" | "records" | "counts";
  readonly needsTracefs?: boolean;
  /** Its program, if it is another build of treewarden than the one that is measured. */
  readonly program?: string;
}

export const extrace: Tool = {
  name: "extrace",
  package: "extrace",
  command: () => ["extrace", "-f"],
  tells: "text",
};
export const forkstat: Tool = {
  name: "forkstat",
  package: "forkstat",
  command: () => ["forkstat", "-e", "fork,exec,exit", "-l"],
  tells: "text",
};
export const execsnoop: Tool = {
  name: "execsnoop",
  package: "libbpf-tools",
  command: () => ["execsnoop"],
  tells: "text",
  needsTracefs: true,
};

/** `treewarden trace`: every exec with its tree, as JSON. */
export function traceOf(source: Source): Tool {
  return {
    name: `treewarden trace (${source})`,
    command: ({ treewarden }) => [treewarden, "trace", "--output", "json", "--source", source],
    tells: "records",
  };
}

/** `treewarden run`, all its processes. */
export function runOf(source: Source, ...flags: readonly string[]): Tool {
  return {
    name: `treewarden run (${source})`,
    command: ({ treewarden, folder, port }) => {
      const state = join(folder, "state");
      mkdirSync(state, { recursive: true });
      const listen = ["--listen", `127.0.0.1:${port}`];
      return [
        treewarden,
        "run",
        "--source",
        source,
        "--output",
        "json",
        ...listen,
        "--state-dir",
        state,
        ...flags,
      ];
    },
    tells: "counts",
  };
}

export const peers: readonly Tool[] = [extrace, forkstat, execsnoop];
export const wardens: readonly Tool[] = (["netlink", "ebpf"] as const).flatMap((source) => [
  traceOf(source),
  runOf(source),
]);

/** The same command of another build, `program`. */
export function before(tool: Tool, program: string): Tool {
  return {
    ...tool,
    name: `${tool.name}, before`,
    program,
    command: (place) => tool.command({ ...place, treewarden: program }),
  };
}

/** Whether it can be run here; says so on standard error if not. */
export function isThere(tool: Tool): boolean {
  if (tool.package === undefined || Bun.which(tool.name) !== null) return true;
  console.error(`bench: ${tool.name} is not installed (Debian package ${tool.package})`);
  return false;
}

/** Bytes of its program. */
export function sizeOf(tool: Tool, treewarden: string): number {
  if (tool.program !== undefined) return statSync(tool.program).size;
  return statSync(tool.package === undefined ? treewarden : (Bun.which(tool.name) ?? treewarden)).size;
}

/** The package's version, as dpkg knows it. */
export function versionOf(tool: Tool): string {
  if (tool.package === undefined) return "";
  const run = Bun.spawnSync(["dpkg-query", "-W", "-f", "$" + "{Version}", tool.package], {
    stderr: "ignore",
  });
  return run.success ? run.stdout.toString() : "unknown";
}
