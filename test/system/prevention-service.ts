// A service of the tests' that starts what it is told (prevention-service.c), as a user of the test alone.
import { randomUUID } from "node:crypto";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Compiles a C program of this folder. */
export function compileProgram(source: string, target: string, ...options: readonly string[]): void {
  const { success, stderr } = Bun.spawnSync(
    ["gcc", "-O1", ...options, "-o", target, join(import.meta.dir, `${source}.c`)],
    { stderr: "pipe" },
  );
  if (!success) throw new Error(stderr.toString());
}

/** Waits until a file that was just written can be told from a later one: `SETTLED_NS` of src/sensor/prevention/closed-set.ts. */
export async function untilSettled(path: string): Promise<void> {
  await Bun.sleep(Math.max(0, statSync(path).ctimeMs + 2_100 - Date.now()));
}

export class Service implements AsyncDisposable {
  private readonly process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly answers: AsyncIterator<string>;
  readonly output: string;

  /** `program`: where prevention-service.c was compiled to. `folder`: for its output. `inside`: what starts it by exec(2). */
  constructor(program: string, user: number, folder: string, inside: readonly string[] = []) {
    this.output = join(folder, `output-${randomUUID()}`);
    writeFileSync(this.output, "");
    chmodSync(this.output, 0o666);
    const asUser = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
    this.process = Bun.spawn([...inside, ...asUser, program, this.output], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.answers = linesOf(this.process.stdout);
  }

  get pid(): number {
    return this.process.pid;
  }

  /** How the program ended, and how many bytes it wrote first. */
  async run(...command: readonly string[]): Promise<{ readonly end: string; readonly bytes: number }> {
    const before = this.written;
    this.process.stdin.write(`${command.join("\t")}\n`);
    this.process.stdin.flush();
    const { value } = await this.answers.next();
    return { end: String(value), bytes: this.written - before };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.stdin.end();
    this.process.kill("SIGKILL");
    await this.process.exited;
  }

  private get written(): number {
    return statSync(this.output).size;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
