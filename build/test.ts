// All tests, then the totals alone on the last line.
//   --unit        only tests that need neither root, nor a build, nor more than seconds
//   --no-install  install no Debian package: the tests that need one skip
// Other arguments go to `bun test` (paths, -t PATTERN).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ABSENT } from "../test/absent-data.ts";
import { INSTALL_VARIABLE, mayInstall, missingPackages } from "../test/system/server-packages.ts";

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

interface RunnerOutput {
  /** Its last 64 KiB. */
  readonly tail: string;
  /** Tests that were skipped for want of their data. */
  readonly absent: number;
  /** The files of failed tests; "" for a failure outside of a file. */
  readonly failedFiles: ReadonlySet<string>;
}

/** Copies what the runner writes to standard error as it comes. */
async function passOn(stream: ReadableStream<Uint8Array>): Promise<RunnerOutput> {
  const decoder = new TextDecoder();
  let tail = "";
  let rest = "";
  let absent = 0;
  let file = "";
  let isList = false;
  const failedFiles = new Set<string>();
  for await (const chunk of stream) {
    process.stderr.write(chunk);
    const text = decoder.decode(chunk, { stream: true });
    tail = (tail + text).slice(-65_536);
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const each of lines) {
      const line = Bun.stripANSI(each);
      if (line.endsWith(ABSENT)) absent += 1;
      file = /^(test\/\S+\.test\.ts):$/.exec(line)?.[1] ?? file;
      // The list of all failures at the end has no names of files.
      isList ||= /^\d+ tests? failed:$/.test(line);
      if (!isList && line.startsWith("(fail) ")) failedFiles.add(file);
    }
  }
  return { tail, absent, failedFiles };
}

interface RunResult extends Totals {
  readonly absent: number;
  readonly failedFiles: ReadonlySet<string>;
}

/** Per test, where it names none: long enough for a machine that is busy with something else. */
const TIMEOUT_MS = 30_000;

async function runTests(args: readonly string[]): Promise<RunResult> {
  const run = Bun.spawn([process.execPath, "test", `--timeout=${TIMEOUT_MS}`, ...args], {
    cwd: root,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
  });
  const { tail, absent, failedFiles } = await passOn(run.stderr);
  const found = totals(tail) ?? { passed: 0, failed: 0, skipped: 0 };
  const code = await run.exited;
  // A runner that ends badly without having counted a failure is one: it crashed, or found no test.
  if (code !== 0 && found.failed === 0) found.failed = 1;
  return { ...found, absent, failedFiles };
}

/** Tests of the live kernel share it with everything else that the host does, so a few of them get a second chance. */
const MOST_FILES_AGAIN = 3;

function mayRunAgain(failed: ReadonlySet<string>): boolean {
  // Without a file the runner itself failed.
  return (
    failed.size > 0 &&
    failed.size <= MOST_FILES_AGAIN &&
    [...failed].every((file) => file.startsWith("test/system/"))
  );
}

interface TestArguments {
  readonly flags: ReadonlySet<string>;
  readonly forRunner: readonly string[];
}

const ownFlags = ["--unit", "--no-install"];

function parseArguments(given: readonly string[]): TestArguments {
  return {
    flags: new Set(given.filter((word) => ownFlags.includes(word))),
    forRunner: given.filter((word) => !ownFlags.includes(word)),
  };
}

/** Every test file, in the order in which they run: with `./`, because a name without it stands for all that contain it. */
function allTests(): readonly string[] {
  const files = [...new Bun.Glob("test/**/*.test.ts").scanSync({ cwd: root })]
    .sort()
    .map((file) => `./${file}`);
  // A new machine takes minutes to build the Collector, in the background.
  return [...files.filter((file) => !needsCollector(file)), ...files.filter(needsCollector)];
}

function needsCollector(file: string): boolean {
  return readFileSync(join(root, file), "utf8").includes('/collector/otelcol.ts"');
}

/** Every test file but those of the live kernel (test/system/) and those that start processes or take long (*.slow.test.ts). */
function unitTests(): readonly string[] {
  return allTests().filter((file) => !file.startsWith("./test/system/") && !file.endsWith(".slow.test.ts"));
}

/** Says what the tests do to this host, before they do it. */
function announceHostChanges(): void {
  console.error(
    "test: these tests watch this host's kernel, start servers and floods, and kill their own processes",
  );
  const missing = missingPackages();
  if (missing.length === 0) return;
  const fate = mayInstall()
    ? "will be installed by apt-get; --no-install prevents that"
    : "are missing: tests that need them skip";
  console.error(`test: Debian's ${missing.join(", ")} ${fate}`);
}

const { flags, forRunner } = parseArguments(process.argv.slice(2));
if (flags.has("--no-install")) process.env[INSTALL_VARIABLE] = "no";
if (!flags.has("--unit") && forRunner.length === 0 && process.env.CI !== "true") announceHostChanges();
// Arguments for the runner choose files themselves, if they name any.
const files = flags.has("--unit") ? unitTests() : forRunner.length === 0 ? allTests() : [];
const found = await runTests([...files, ...forRunner]);
if (found.failed > 0 && mayRunAgain(found.failedFiles)) {
  console.error(`test: ${found.failed} failed; once more, alone: ${[...found.failedFiles].join(" ")}`);
  const again = await runTests([...found.failedFiles].map((file) => `./${file}`));
  const isSkipped = again.skipped > again.absent;
  if (again.failed === 0 && !isSkipped) {
    console.log(
      `unsteady: ${found.failed} passed only when their files ran again: ${[...found.failedFiles].join(" ")}`,
    );
    found.passed += found.failed;
  }
  if (!isSkipped) found.failed = again.failed;
}
const skippedInCi = found.skipped > found.absent && process.env.CI === "true";
if (skippedInCi) console.error(`test: no test may skip in CI, but one whose name ends in ${ABSENT}`);
console.log(`${found.passed} passed, ${found.failed} failed, ${found.skipped} skipped`);
process.exitCode = found.failed > 0 || skippedInCi ? 1 : 0;
