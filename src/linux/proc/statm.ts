// /proc/PID/statm (proc_pid_statm(5)).
import { readDecimals } from "./decimal.ts";

const SIZE = 0;
const TEXT = 3;

const fields = new Float64Array(TEXT + 1);

/**
 * As `mayBeInExec` of status.ts, of the first of the two cases alone: the memory is new and has no program yet. Reading
 * `statm` takes a quarter of the time.
 */
export function hasNoProgramYet(bytes: Uint8Array, length: number): boolean {
  return readDecimals(bytes, 0, length, fields) > TEXT && fields[SIZE] !== 0 && fields[TEXT] === 0;
}
