// Starts child processes of this executable, with descriptors at fixed numbers.
import { getPriority } from "node:os";
import { closeDescriptor, createPipe } from "./descriptor.ts";
import { MOST_PASSED } from "./descriptor-passing.ts";
import { bindLibc, checked } from "./libc.ts";
import { setNice, setSessionNice } from "./process.ts";

const libc = bindLibc({ fcntl: { args: ["i32", "i32", "i32"], returns: "i32" } });

// linux/fcntl.h: F_LINUX_SPECIFIC_BASE + 6
const F_DUPFD_CLOEXEC = 1030;

// A spawned process gets its descriptors at the numbers from 3 on, at most as many as are passed at once. Copies from
// FIRST_COPY on never collide with those: dup2 of a descriptor onto itself would leave close-on-exec set, and the order of
// the copies would matter.
const FIRST_COPY = 3 + MOST_PASSED;

/** A close-on-exec copy of `fd` with a number of at least FIRST_COPY; `fd` itself stays open. */
export function copyHigh(fd: number): number {
  return checked("fcntl F_DUPFD_CLOEXEC", libc.fcntl(fd, F_DUPFD_CLOEXEC, FIRST_COPY), String(fd));
}

/** As `copyHigh`, but closes `fd`. */
export function moveHigh(fd: number): number {
  const copy = copyHigh(fd);
  closeDescriptor(fd);
  return copy;
}

/**
 * The arguments to put before a command's arguments to run it with this program: none for the compiled binary, the main
 * script when treewarden runs from source.
 */
export function ownArguments(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
}

/** The number that the first of the passed `descriptors` gets in a spawned process. */
export const FIRST_PASSED = 3;

export interface SpawnOptions {
  /** The command and its arguments. */
  readonly args: readonly string[];
  /** Descriptors that `copyHigh` made, that the process gets as FIRST_PASSED and the following numbers. */
  readonly descriptors: readonly number[];
  /** The whole environment of the process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Descriptors for standard output and standard error; the caller's own if undefined. */
  readonly output?: number | undefined;
  readonly errors?: number | undefined;
  /**
   * The nice value of all threads of the process; the caller's if undefined, or if the caller may not give itself that
   * value for a moment (CAP_SYS_NICE).
   */
  readonly nice?: number | undefined;
}

/**
 * Starts this executable as a child: the file that runs now, even if the one at its path was replaced. The child gets
 * its own session, so that Ctrl-C on a terminal reaches only the supervisor and the child has no controlling terminal;
 * its working directory is `/`, its standard input is empty, and blocked signals are inherited. Returns its pid; see
 * `PidDescriptor.end` for its end. Throws if the process cannot be started.
 */
export function spawnSelf(options: SpawnOptions): number {
  const start = (): number =>
    Bun.spawn(["/proc/self/exe", ...ownArguments(), ...options.args], {
      argv0: "treewarden",
      stdio: [emptyInput(), options.output ?? "inherit", options.errors ?? "inherit", ...options.descriptors],
      env: { ...options.environment },
      cwd: "/",
      detached: true,
    }).pid;
  return options.nice === undefined ? start() : withNice(options.nice, start);
}

/** The reading end of a pipe that nobody writes to; undefined until it is needed. */
let endOfInput: number | undefined;

/** A descriptor from which nothing can be read. Not /dev/null: the root of a container need not have it. */
function emptyInput(): number {
  if (endOfInput !== undefined) return endOfInput;
  const [read, write] = createPipe();
  closeDescriptor(write);
  endOfInput = moveHigh(read);
  return endOfInput;
}

/** Calls `start` with another nice value: the process inherits it before its runtime creates the first thread. */
function withNice(nice: number, start: () => number): number {
  const own = getPriority();
  try {
    setNice(nice);
  } catch {
    return start();
  }
  try {
    const pid = start();
    setSessionNice(pid, nice);
    return pid;
  } finally {
    setNice(own);
  }
}
