// What every part of the benchmark is given, and gives.
import type { Loads } from "./load.ts";
import type { Tool } from "./tools.ts";

export interface Bench {
  readonly loads: Loads;
  /** Those of the peers that are installed. */
  readonly peers: readonly Tool[];
  /** treewarden's commands, of this build and of the one it is compared with. */
  readonly wardens: readonly Tool[];
  /** The file of another build, if there is one to compare with. */
  readonly before?: string | undefined;
  /** Execs of one load from one parent. */
  readonly count: number;
  /** How often a measurement is repeated; medians are shown. */
  readonly rounds: number;
  readonly say: (text: string) => void;
}

export interface Section {
  readonly title: string;
  /** Markdown, without the title. */
  readonly measure: (bench: Bench) => Promise<string>;
}
