// What the eBPF sensor says of an environment, against the environment that the program was started with: it is picked
// over in the kernel, by the pointers on the new stack.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import type { ProcessFacts } from "../../src/sensor/event.ts";
import { Stage, Watch, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const names = ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "A"];
const RUNS = 60;
const RUNS_MS = 30_000;

function compile(source: string, program: string, options: readonly string[]): boolean {
  const path = join(import.meta.dir, source);
  return Bun.spawnSync(["gcc", "-O1", ...options, "-o", program, path]).success;
}

/** What a program with these variables has under each of the names. */
function expected(variables: readonly string[]): [string, string | null][] {
  return names.map((name) => {
    const values = variables.filter((text) => text.startsWith(`${name}=`));
    const value = values.map((text) => text.slice(name.length + 1)).join(":");
    return [name, values.length === 0 ? null : value];
  });
}

const value = fc.string({ unit: fc.constantFrom("a", "=", "/", " ", "\n", "LD_PRELOAD="), maxLength: 20 });
const variable = fc.oneof(
  fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `${name}=${text}`),
  // Close to a wanted one, or none at all.
  fc
    .tuple(
      fc.constantFrom("", "L", "LD_", "LD_PRELOAD", "XLD_PRELOAD=", "LD_PRELOADED=", "AA=", "=", "EN="),
      value,
    )
    .map(([name, text]) => name + text),
);

describe.skipIf(reason !== undefined)("the environment of an exec", () => {
  let stage: Stage;
  let watch: Watch;
  let execute: string;

  beforeAll(() => {
    stage = new Stage();
    execute = join(stage.folder, "execute");
    expect(compile("ebpf-execute.c", execute, ["-static"])).toBe(true);
    watch = new Watch({ bufferBytes: 16 << 20, environmentNames: names });
    watch.sensor.readEnvironment(true);
  });

  afterAll(() => {
    watch[Symbol.dispose]();
    stage[Symbol.dispose]();
  });

  async function factsOf(path: string, variables: readonly string[]): Promise<ProcessFacts> {
    const run = Bun.spawn([execute, path, ...variables], { stdio: ["ignore", "ignore", "inherit"] });
    await run.exited;
    const { facts } = watch.exec(run.pid);
    expect(facts.executable).toBe(path);
    watch.events.length = 0;
    return facts;
  }

  test(
    "has each wanted variable, whatever stands beside it and however often",
    async () => {
      const variables = fc.array(variable, { maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(variables, fc.nat(300), async (wanted, others) => {
          const all = [...wanted, ...Array.from({ length: others }, (_, i) => `OTHER_${i}=x`), ...wanted];
          const { environment, environmentTruncated } = await factsOf(execute, all);
          expect([...(environment ?? [])]).toEqual(expected(all));
          expect(environmentTruncated).toBe(false);
        }),
        { numRuns: RUNS },
      );
    },
    RUNS_MS,
  );

  test("has 8 KiB of wanted variables, and of a byte more nothing", async () => {
    const filled = (bytes: number): string[] => {
      const texts = Array.from({ length: 100 }, (_, i) => `LD_AUDIT=/srv/${i}`);
      const size = texts.reduce((sum, text) => sum + text.length + 1, 0);
      return [...texts, `A=${"x".repeat(bytes - size - 3)}`];
    };
    const whole = await factsOf(execute, filled(8192));
    expect([...(whole.environment ?? [])]).toEqual(expected(filled(8192)));
    const longer = await factsOf(execute, filled(8193));
    expect([longer.environment, longer.environmentTruncated]).toEqual([undefined, true]);
  });

  test("of a program of 32 bits is whole, too", async () => {
    const program32 = join(stage.folder, "program32");
    if (!compile("ebpf-program32.c", program32, ["-m32", "-nostdlib", "-static"])) {
      console.log("skipped: gcc cannot compile for 32 bits");
      return;
    }
    const variables = ["B=1", "LD_PRELOAD=/srv/x.so", "ENV=", "C=2"];
    const { environment } = await factsOf(program32, variables);
    expect([...(environment ?? [])]).toEqual(expected(variables));
  });
});
