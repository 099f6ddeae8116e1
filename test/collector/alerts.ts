// Programs that draw alerts by a policy of their own, and nothing but alerts.
import { copyFileSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How many programs one shell starts, one after the other. */
const CHUNK = 10;
/** Names of one file. */
const NAMES = 10_000;

export class Alerts {
  /** The rule that every one of them matches. */
  static readonly rule = "seen";
  readonly policy: string;
  /** How many were started. */
  started = 0;
  private readonly folder: string;
  private linked = 1;

  constructor(folder: string) {
    this.folder = join(folder, "programs");
    mkdirSync(this.folder);
    copyFileSync("/bin/true", this.program(0));
    this.policy = join(folder, "policy.json");
    const when = { starts_with: [{ var: "process.executable.path" }, `${this.folder}/tw-alert-`] };
    const rules = [{ id: Alerts.rule, when, action: "alert" }];
    writeFileSync(this.policy, JSON.stringify({ role: "telemetry", rules, default: "allow" }));
  }

  /** Starts programs of different names, so that no alert is folded into another; `rate` of them a second. */
  async different(count: number, rate: number): Promise<void> {
    const first = this.linked;
    for (; this.linked < first + count; this.linked += 1) this.link(this.linked);
    await this.start(count, rate, (i) => this.program(first + i));
  }

  /** Starts the same program again and again: the alerts are folded. */
  async same(count: number, rate: number): Promise<void> {
    await this.start(count, rate, () => this.program(0));
  }

  /** A file has at most 65,000 names on ext4. */
  private link(i: number): void {
    const file = i - (i % NAMES);
    if (i === file) copyFileSync("/bin/true", this.program(i));
    else linkSync(this.program(file), this.program(i));
  }

  private program(i: number): string {
    return `${this.folder}/tw-alert-${i}`;
  }

  private async start(count: number, rate: number, program: (i: number) => string): Promise<void> {
    const begin = performance.now();
    for (let done = 0; done < count; ) {
      const end = Math.min(count, done + CHUNK);
      const commands = Array.from({ length: end - done }, (_, i) => program(done + i));
      const shell = Bun.spawn(["/bin/sh", "-c", `${commands.join("\n")}\n:`], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      await shell.exited;
      this.started += end - done;
      done = end;
      await Bun.sleep(Math.max(0, (done / rate) * 1_000 - (performance.now() - begin)));
    }
  }
}
