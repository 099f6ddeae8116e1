// Somebody has taken over a service under prevention, and tries to have it run what it may not, and to open it to others.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileProgram, untilSettled } from "./prevention-service.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A user that no other process runs as. */
const TEST_USER = 61_020;
/** A folder of root's alone, as those of packages are. */
const installed = "/usr/local/lib/tw-attacked";
const service = join(installed, "tw-victim");
const helper = join(installed, "tw-helper");
const stranger = join(installed, "tw-stranger");

const policy = {
  role: "attacked",
  rules: [
    {
      id: "only-its-helper",
      when: { and: [{ "==": [{ var: "process.user.id" }, TEST_USER] }, { under: ["tw-victim"] }] },
      except: [{ in: [{ var: "process.executable.path" }, [helper]] }],
      action: "kill",
      severity: "high",
    },
  ],
  default: "allow",
};

class Victim implements AsyncDisposable {
  private readonly process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly chunks: AsyncIterator<Uint8Array>;
  private readonly output: string;

  constructor(folder: string) {
    this.output = join(folder, "output");
    writeFileSync(this.output, "");
    chmodSync(this.output, 0o666);
    this.process = Bun.spawn(
      ["setpriv", `--reuid=${TEST_USER}`, `--regid=${TEST_USER}`, "--clear-groups", service, this.output],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    this.chunks = this.process.stdout.values();
  }

  /** How the program ended, and how many bytes it wrote first. */
  async run(...command: readonly string[]): Promise<{ readonly end: string; readonly bytes: number }> {
    const before = statSync(this.output).size;
    this.process.stdin.write(`${command.join("\t")}\n`);
    this.process.stdin.flush();
    const { value } = await this.chunks.next();
    const end = new TextDecoder().decode(value).trim();
    return { end, bytes: statSync(this.output).size - before };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.stdin.end();
    this.process.kill("SIGKILL");
    await this.process.exited;
  }
}

describe.skipIf(reason !== undefined)("a service that was taken over", () => {
  let folder: string;
  let running: Running;
  let victim: Victim;
  const own = (): string => join(folder, "victim");
  const dropped = (): string => join(own(), "dropped");
  const mismatches = async () => (await running.metrics()).sum("treewarden_prevent_mismatches_total");

  beforeAll(async () => {
    mkdirSync(installed, { mode: 0o755 });
    compileProgram("prevention-attacker", service);
    for (const each of [helper, stranger]) compileProgram("prevention-program", each, "-nostdlib", "-static");
    folder = newFolder();
    mkdirSync(own());
    chownSync(own(), TEST_USER, TEST_USER);
    copyFileSync(helper, dropped());
    chownSync(dropped(), TEST_USER, TEST_USER);
    const file = join(folder, "attacked.json");
    writeFileSync(file, JSON.stringify(policy), { mode: 0o644 });
    running = await Running.start(["--policy", file, "--enforcement", "prevent"], {}, folder);
    // Files are identified once the service is there.
    await untilSettled(dropped());
    victim = new Victim(own());
    await until("the service is closed", async () => {
      const metrics = await running.metrics();
      return metrics.sum("treewarden_closed_processes") > 0;
    });
  }, 60_000);

  afterAll(async () => {
    await victim?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    rmSync(installed, { recursive: true, force: true });
  }, 20_000);

  test("runs its helper, and nothing else", async () => {
    expect(await victim.run("plain", helper)).toEqual({ end: "exit 0", bytes: 1 });
    expect(await victim.run("plain", stranger)).toEqual({ end: "signal 9", bytes: 0 });
    expect(await victim.run("plain", dropped())).toEqual({ end: "signal 9", bytes: 0 });
  });

  test.each([
    ["mounts over its helper", () => ["mounted", dropped(), helper]],
    ["executes in a folder whose path nobody can read whole", () => ["deep", dropped(), own()]],
  ])("what it %s dies, and opens nothing", async (_, attack) => {
    let lived = 0;
    for (let i = 0; i < 50; i += 1) {
      expect(await victim.run(...attack())).toEqual({ end: "signal 9", bytes: 0 });
      lived += (await victim.run("plain", stranger)).bytes;
      lived += (await victim.run("plain", dropped())).bytes;
    }
    expect({ lived, mismatches: await mismatches() }).toEqual({ lived: 0, mismatches: 0 });
  });
});
