// An executable of treewarden with another sensor in the place of the eBPF sensor: for measurements of everything else.
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileExecutable } from "../../../build/executable.ts";
import { repository } from "../../../build/version.ts";

/** The line that says for how long an unknown tree keeps its series after its last process. */
const STAY = "const STAY_MS = 3_600_000;";

/**
 * Compiles a copy of the sources to `path`. `sensor`: an expression of the sensor, with `open(options)` for the eBPF sensor
 * and the functions of recorded-sensor.ts. `hourMs`: the time that unknown trees keep their series instead of an hour, for
 * a stream that is faster than a server. Throws if the compiler fails.
 */
export function compileWithSensor(path: string, sensor: string, hourMs?: number): void {
  const root = join(repository, "dist", `bench-${process.pid}`);
  try {
    mkdirSync(join(root, "test/bench"), { recursive: true });
    for (const part of ["src", "policies", "docs", "package.json", "tsconfig.json", "test/bench/week"])
      cpSync(join(repository, part), join(root, part), { recursive: true });
    symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
    cpSync(join(root, "src/sensor/ebpf/sensor.ts"), join(root, "src/sensor/ebpf/live-sensor.ts"));
    writeFileSync(
      join(root, "src/sensor/ebpf/sensor.ts"),
      [
        'import { withoutEvents, withRecordedStream } from "../../../test/bench/week/recorded-sensor.ts";',
        'import { openEbpfSensor as open, type EbpfOptions } from "./live-sensor.ts";',
        'export * from "./live-sensor.ts";',
        `export const openEbpfSensor = (options: EbpfOptions = {}) => ${sensor};`,
      ].join("\n"),
    );
    if (hourMs !== undefined) {
      const file = join(root, "src/report/tree-totals.ts");
      const text = readFileSync(file, "utf8");
      if (!text.includes(STAY)) throw new Error(`there is no "${STAY}" in src/report/tree-totals.ts`);
      writeFileSync(file, text.replace(STAY, `const STAY_MS = ${Math.round(hourMs)};`));
    }
    if (!compileExecutable(path, undefined, root)) throw new Error("the executable could not be compiled");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
