// Whether a treewarden in a root of its own watches the whole host.
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../system/treewarden.ts";
import type { Root } from "./root.ts";

/**
 * Runs `treewarden run` in a root until it has seen a program that this host starts outside of it, under a name that
 * no other program has, and returns the record. The program runs until it was seen: in a root without /sys only the
 * process connector is left, and by that a program that ends at once may be gone before /proc was read.
 */
export async function watchHost(root: Root, binary: string): Promise<Readonly<Record<string, unknown>>> {
  const folder = mkdtempSync(join(tmpdir(), "treewarden-marker-"));
  const program = join(folder, `marker-${process.pid}`);
  copyFileSync("/bin/sleep", program);
  const command = [binary, "run", "--all", "--output", "json", "--listen", "off"];
  const run = Bun.spawn([...root.inside, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin" },
  });
  let text = "";
  const reading = (async () => {
    for await (const chunk of run.stdout) text += new TextDecoder().decode(chunk);
  })();
  try {
    await until("it watches", () => text.includes('"warden.started"') || run.exitCode !== null, 30_000);
    await using started = Bun.spawn([program, "60"]);
    const signs = ['"process.exec"', `"process.pid":${started.pid},`, program];
    const line = (): string | undefined =>
      text.split("\n").find((each) => signs.every((sign) => each.includes(sign)));
    await until(
      "the program was seen",
      () => line()?.endsWith("}") === true || run.exitCode !== null,
      10_000,
    );
    const record = line();
    if (record === undefined) throw new Error(`treewarden ended: ${await run.stderr.text()}`);
    return JSON.parse(record);
  } finally {
    run.kill("SIGTERM");
    await run.exited;
    await reading;
    rmSync(folder, { recursive: true });
  }
}
