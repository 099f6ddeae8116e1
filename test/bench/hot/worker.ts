// One process of `npm run bench:hot`: the hot path over a stream, as it is or without one cache, in rounds that the
// parent asks for. `bun worker.ts STREAM [TRIAL]`
import { readFileSync } from "node:fs";
import { LESSON, StreamReader, WARM_UP } from "./stream.ts";
import { pathOf, trials, without } from "./trials.ts";

export interface Round {
  readonly execs: number;
  /** Of the only thread, see process.ts. */
  readonly cpuMicroseconds: number;
  /** By which the process's own memory grew. */
  readonly bytes: number;
}

const [, , path = "", name] = process.argv;
if (name !== undefined) {
  const trial = trials.find((one) => one.name === name);
  if (trial === undefined) throw new Error(`no trial ${name}`);
  const file = pathOf(trial);
  let isMade = false;
  Bun.plugin({
    name: "without a cache",
    setup: (build) => {
      const filter = new RegExp(`^${RegExp.escape(file)}$`);
      build.onLoad({ filter }, () => {
        isMade = true;
        return { contents: without(trial, readFileSync(file, "utf8")), loader: "ts" };
      });
    },
  });
  process.on("exit", () => {
    if (!isMade) console.error(`${name}: ${file} is not part of the hot path`);
  });
}

// Only now: the plugin changes what is loaded after it.
const { Lesson, Pipeline } = await import("./pipeline.ts");

const stream = new StreamReader(path);
const lesson = new Lesson();
stream.read(LESSON, (bytes, words, start, end) =>
  lesson.decoder.decode(bytes, words, start, end, (event) => lesson.handle(event)),
);
stream.rewind();
const pipeline = new Pipeline(lesson.file());
run(WARM_UP);

process.on("message", (count: number) => process.send?.(round(count)));
process.on("disconnect", () => {
  pipeline[Symbol.dispose]();
  process.exit(0);
});
process.send?.("ready");

function round(count: number): Round {
  pipeline.acknowledge();
  const memory = anonymousBytes();
  const before = cpuNanoseconds();
  const execs = run(count);
  const cpuMicroseconds = (cpuNanoseconds() - before) / 1e3;
  return { execs, cpuMicroseconds, bytes: anonymousBytes() - memory };
}

function run(count: number): number {
  const { decoder, handle } = pipeline;
  return stream.read(count, (bytes, words, start, end) => decoder.decode(bytes, words, start, end, handle));
}

/** Of the thread that asks, from /proc/thread-self/schedstat. */
function cpuNanoseconds(): number {
  // getrusage(2) brings that file up to date, which otherwise is as old as the last tick of the scheduler.
  process.cpuUsage();
  return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]);
}

/** RssAnon of /proc/self/status. */
function anonymousBytes(): number {
  return Number(/^RssAnon:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? 0) * 1024;
}
