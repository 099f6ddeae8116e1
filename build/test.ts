// All tests, then the totals alone on the last line. Arguments go to `bun test` (paths, -t PATTERN).
import { join } from "node:path";
import { ABSENT } from "../test/absent-data.ts";

const root = join(import.meta.dir, "..");

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * Reads the summary at the end of what `bun test` wrote: lines such as ` 12 pass` right above `Ran 14 tests across
 * 3 files.` The junit reporter would be easier to read, but leaves out files that could not be loaded (Bun 1.4.5).
 * Undefined if there is none, as when the runner itself died.
 */
function totals(output: string): Totals | undefined {
  const lines = output.split("\n").map((line) => Bun.stripANSI(line));
  const end = lines.findLastIndex((line) => /^Ran \d+ tests? across \d+ files?\./.test(line));
  const count = { pass: 0, fail: 0, skip: 0, todo: 0 };
  for (let i = end - 1; i >= 0; i -= 1) {
    const [, number, kind] = /^ *(\d+) (pass|fail|skip|todo|\S.*)$/.exec(lines[i] ?? "") ?? [];
    if (number === undefined) break;
    if (kind === "pass" || kind === "fail" || kind === "skip" || kind === "todo")
      count[kind] = Number(number);
  }
  return end < 0 ? undefined : { passed: count.pass, failed: count.fail, skipped: count.skip + count.todo };
}

/**
 * Copies a stream to standard error as it comes. Gives its last 64 KiB back, and how many tests it calls skipped for want of
 * their data.
 */
async function passOn(stream: ReadableStream<Uint8Array>): Promise<{ tail: string; absent: number }> {
  const decoder = new TextDecoder();
  let tail = "";
  let line = "";
  let absent = 0;
  for await (const chunk of stream) {
    process.stderr.write(chunk);
    const text = decoder.decode(chunk, { stream: true });
    tail = (tail + text).slice(-65_536);
    const lines = (line + text).split("\n");
    line = lines.pop() ?? "";
    absent += lines.filter((each) => Bun.stripANSI(each).endsWith(ABSENT)).length;
  }
  return { tail, absent };
}

const run = Bun.spawn([process.execPath, "test", ...process.argv.slice(2)], {
  cwd: root,
  stdin: "ignore",
  stdout: "inherit",
  stderr: "pipe",
});
const { tail, absent } = await passOn(run.stderr);
const found = totals(tail) ?? { passed: 0, failed: 0, skipped: 0 };
const code = await run.exited;
// A runner that ends badly without having counted a failure is one: it crashed, or found no test.
if (code !== 0 && found.failed === 0) found.failed = 1;
const skippedInCi = found.skipped > absent && process.env.CI === "true";
if (skippedInCi) console.error(`test: no test may skip in CI, but one whose name ends in ${ABSENT}`);
console.log(`${found.passed} passed, ${found.failed} failed, ${found.skipped} skipped`);
process.exitCode = found.failed > 0 || skippedInCi ? 1 : 0;
