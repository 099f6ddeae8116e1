// Starting further processes of this executable, with descriptors at fixed numbers.
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({ fcntl: { args: ["i32", "i32", "i32"], returns: "i32" } });

// linux/fcntl.h: F_LINUX_SPECIFIC_BASE + 6
const F_DUPFD_CLOEXEC = 1030;

// Numbers that spawned processes get begin at 3 and are few. Copies from here on never lie where one of those has
// to go: dup2 onto its own number would leave close-on-exec set, and an order of moves would matter.
const HIGH = 32;

/** A close-on-exec copy of `fd` with a number of at least 32; `fd` itself stays open. */
export function copyHigh(fd: number): number {
  return checked("fcntl F_DUPFD_CLOEXEC", libc.fcntl(fd, F_DUPFD_CLOEXEC, HIGH), String(fd));
}

/**
 * What goes before a command's own arguments to run it with this same program: nothing for the compiled binary, the
 * main script when it runs under the runtime.
 */
export function ownArguments(): readonly string[] {
  return Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main];
}

/** The number that the first of the `descriptors` of a spawned process has in it. */
export const FIRST_PASSED = 3;

export interface SpawnOptions {
  /** The command and its arguments. */
  readonly args: readonly string[];
  /** Descriptors (of at least 32, see `copyHigh`) that the process gets as FIRST_PASSED and the numbers behind it. */
  readonly descriptors: readonly number[];
  /** All of its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs as this user, without supplementary groups; as the caller if undefined. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface Spawned {
  readonly pid: number;
  /** Resolves once the process has ended and was waited for; only turns with the runtime's event loop. */
  readonly exited: Promise<unknown>;
  /** After that: its exit code, or the signal that ended it; null is the other case. */
  readonly exitCode: number | null;
  readonly signalCode: string | number | null;
}

/**
 * Starts this executable again: the very file that runs now, even if the one at its path was replaced (and even if
 * `user` could not reach that path). In a session of its own, so that a terminal's Ctrl-C reaches the supervisor
 * alone; working directory `/`; standard input /dev/null, output and error shared; blocked signals are inherited.
 * Throws if the kernel cannot.
 */
export function spawnSelf(options: SpawnOptions): Spawned {
  return Bun.spawn(["/proc/self/exe", ...ownArguments(), ...options.args], {
    argv0: "treewarden",
    stdio: ["ignore", "inherit", "inherit", ...options.descriptors],
    env: { ...options.environment },
    cwd: "/",
    detached: true,
    ...(options.user === undefined ? {} : { uid: options.user.uid, gid: options.user.gid }),
  });
}
