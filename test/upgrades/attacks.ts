// What an intruder in nginx and in PostgreSQL starts: each time under a name, or with arguments, that never ran before.
import { copyFileSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ClosedServers } from "./closed-servers.ts";
import type { Ending } from "./intruder.ts";
import { type Account, compileWriter, INSTALLED, type Scene, writeProgram } from "./scene.ts";

export interface Attack {
  readonly what: string;
  /** The attempt of this number, from 0. */
  readonly start: (attempt: number) => Promise<Ending>;
}

/** Shell code that takes some 100 ms and starts nothing; another one for each attempt. */
export function busyCode(attempt: number): string {
  return `n=${attempt}; while [ $n -lt 100000 ]; do n=$((n+1)); done`;
}

/** Programs whose first system call writes a byte. */
export class Writers {
  private readonly tries: number;
  private count = 0;

  constructor(tries: number) {
    this.tries = tries;
  }

  /** Those of root's are there before the servers are closed. */
  install(_: Scene): void {
    compileWriter(this.original);
    for (let i = 0; i < this.tries; i += 1)
      for (const user of ["web", "sql"]) copyFileSync(this.original, this.installed(user, i));
  }

  installed(user: string, attempt: number): string {
    return join(INSTALLED, `${user}-${"abcdefghijklmnopqrst"[attempt % 20]}${Math.floor(attempt / 20)}`);
  }

  /** A new one of the user's own. */
  dropped(account: Account): string {
    this.count += 1;
    return writeProgram(join(account.folder, `dropped${this.count}`), readFileSync(this.original), account);
  }

  private get original(): string {
    return join(INSTALLED, "writer");
  }
}

export function attacksOnNginx(
  { web: { intruder }, scene }: ClosedServers,
  writers: Writers,
): readonly Attack[] {
  const { web: account } = scene.accounts;
  const script = (attempt: number): string =>
    writeProgram(join(account.folder, `script${attempt}`), "#!/bin/sh\nprintf x >&9\n", account);
  return [
    { what: "a shell", start: (i) => intruder.start("/bin/sh", "-c", `printf x >&9; exit ${i}`) },
    { what: "a script", start: (i) => intruder.start(script(i)) },
    { what: "perl", start: (i) => intruder.start("/usr/bin/perl", "-e", `syswrite STDOUT, ${i}`) },
    { what: "a program of its own", start: () => intruder.start(writers.dropped(account)) },
    { what: "a program of root's", start: (i) => intruder.start(writers.installed("web", i)) },
  ];
}

/** Started by the code of an intruder, not by a shell. */
export function attacksOnPostgres(
  { database: { intruder }, scene }: ClosedServers,
  writers: Writers,
): readonly Attack[] {
  const { sql: account } = scene.accounts;
  return [
    { what: "a program of its own", start: () => intruder.start(writers.dropped(account)) },
    { what: "a program of root's", start: (i) => intruder.start(writers.installed("sql", i)) },
  ];
}

/** By SQL: PostgreSQL has a shell start it. */
export function attacksByCopy({ database, scene }: ClosedServers, writers: Writers): readonly Attack[] {
  const { sql: account } = scene.accounts;
  const output = join(account.folder, "copied");
  const size = (): number => (existsSync(output) ? statSync(output).size : 0);
  const copy = async (command: string): Promise<Ending> => {
    const before = size();
    const error = database.copyFromProgram(command) ?? "no error";
    const end = error.includes("terminated by signal 9") ? "signal 9" : error;
    return { end, bytes: size() - before, us: Number.NaN };
  };
  const direct = (): string => `exec ${writers.dropped(account)} 9>>${output}`;
  return [
    { what: "a program of its own", start: () => copy(direct()) },
    { what: "a shell that works on", start: (i) => copy(`${busyCode(i)}; echo x >> ${output}`) },
  ];
}
