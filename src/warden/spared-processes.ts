// Treewarden's own processes, and the programs by which its reporter delivers mail: rules deny them nothing on the network.
// Otherwise a rule on everything would cut off what reports that it acts.
import type { ProcessSignals } from "../enforcement/kill.ts";
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";

export interface SparedProcessesInputs {
  readonly forest: Pick<Forest, "get">;
  /** Path of treewarden's executable. */
  readonly executable: string;
  /** Paths of the programs by which mail is delivered. */
  readonly mailPrograms: readonly string[];
  readonly isOwnProcess: ProcessSignals["isOwnProcess"];
}

/** sendmail, and what it starts. */
const MAIL_DEPTH = 3;

/** Tests whether rules deny a process nothing. Of nearly every process, its executable's path answers it. */
export function sparedProcesses(inputs: SparedProcessesInputs): (process: Process) => boolean {
  const { forest, executable, isOwnProcess } = inputs;
  const mailPrograms = new Set(inputs.mailPrograms);
  const isSpared = (process: Process, depth: number): boolean => {
    const path = process.lineage.program.executable;
    if (path === executable) return isOwnProcess(process);
    if (path === undefined || depth === 0 || !mailPrograms.has(path)) return false;
    const parent = forest.get(process.parentPid);
    return parent !== undefined && isSpared(parent, depth - 1);
  };
  return (process) => isSpared(process, MAIL_DEPTH);
}
