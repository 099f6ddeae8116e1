// Signals to treewarden's own processes and the events of the host share a ring: a flood of one displaces none of the other.
import { describe, expect, test } from "bun:test";
import { WAITING_SIGNALS } from "../../src/sensor/ebpf/layout.ts";
import type { OwnSignal } from "../../src/sensor/event.ts";
import { Watch, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const FLOOD = 20_000;
const RING = 256 << 10;

function flood(pid: number, count: number): void {
  Bun.spawnSync(["bash", "-c", `for ((i = 0; i < ${count}; i++)); do kill -CONT ${pid}; done`]);
}

/** Starts and ends programs until the sensor's ring has room for no more. */
function fill(): void {
  Bun.spawnSync(["bash", "-c", "for ((i = 0; i < 1500; i++)); do /bin/true; done"]);
}

describe.skipIf(reason !== undefined)("while nobody reads", () => {
  test("a flood of signals displaces no exec, and later ones are recorded again", () => {
    using watch = new Watch({ bufferBytes: RING });
    const signals: OwnSignal[] = [];
    let lost = 0;
    watch.sensor.watchSignals([process.pid], {
      signal: (signal) => signals.push(signal),
      lost: (count) => {
        lost += count;
      },
    });
    flood(process.pid, FLOOD);
    const { pid } = watch.run(["/bin/true"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
    expect(watch.events.some(({ kind }) => kind === "loss")).toBe(false);
    expect(signals.length + lost).toBe(FLOOD);
    expect(signals.length).toBeGreaterThan(WAITING_SIGNALS / 2);
    // Two CPUs may pass the limit at once.
    expect(signals.length).toBeLessThan(WAITING_SIGNALS + 10);
    signals.length = 0;
    flood(process.pid, 3);
    watch.drain();
    expect(signals).toHaveLength(3);
  }, 20_000);

  test("a flood of execs displaces no signal", () => {
    using watch = new Watch({ bufferBytes: RING });
    const signals: OwnSignal[] = [];
    watch.sensor.watchSignals([process.pid], {
      signal: (signal) => signals.push(signal),
      lost: () => undefined,
    });
    fill();
    flood(process.pid, 100);
    watch.drain();
    expect(watch.events.some(({ kind }) => kind === "loss")).toBe(true);
    expect(signals).toHaveLength(100);
  }, 20_000);
});
