// An executable of treewarden with another sensor in the place of the eBPF sensor: for measurements of everything else.
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileExecutable } from "../../../build/executable.ts";
import { repository } from "../../../build/version.ts";

/**
 * Compiles a copy of the sources to `path`. `sensor`: an expression of the sensor, with `open(options)` for the eBPF sensor
 * and the functions of recorded-sensor.ts. Throws if the compiler fails.
 */
export function compileWithSensor(path: string, sensor: string): void {
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
    if (!compileExecutable(path, undefined, root)) throw new Error("the executable could not be compiled");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
