// What an intruder inside a server starts, and what becomes of it.
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Account } from "./scene.ts";

export interface Ending {
  /** `signal 9`, or `exit 0`. */
  readonly end: string;
  /** What the program has written. */
  readonly bytes: number;
  /** From the fork to the end as its parent sees it, microseconds; NaN if that was not measured. */
  readonly us: number;
}

/** Of all intruders: two of them may write the same files. */
let attempts = 0;

export class Intruder {
  private readonly account: Account;
  /** Has the intruder's code start what the file `command` names; it has ended when this is done. */
  private readonly act: () => Promise<void>;

  constructor(account: Account, act: () => Promise<void>) {
    this.account = account;
    this.act = act;
    this.write("output", "");
  }

  async start(...command: readonly string[]): Promise<Ending> {
    const { output, result } = this;
    attempts += 1;
    const prefix = `${attempts} `;
    this.write("command", `${[attempts, ...command].join("\n")}\n`);
    const before = statSync(output).size;
    await this.act();
    const answer = existsSync(result) ? readFileSync(result, "utf8") : "";
    const [, us, end = "no result"] = answer.startsWith(prefix)
      ? (/^\d+ (\d+) (.*)$/.exec(answer) ?? [])
      : [];
    return { end, bytes: statSync(output).size - before, us: Number(us ?? Number.NaN) };
  }

  private get output(): string {
    return join(this.account.folder, "output");
  }

  private get result(): string {
    return join(this.account.folder, "result");
  }

  private write(name: string, text: string): void {
    const path = join(this.account.folder, name);
    writeFileSync(path, text);
    chownSync(path, this.account.uid, this.account.gid);
    chmodSync(path, 0o600);
  }
}
