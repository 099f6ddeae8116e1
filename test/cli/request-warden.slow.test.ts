// How a command waits for the warden's answer.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answerName, isRequestName, REQUEST_FOLDER } from "../../src/baseline/warden-request.ts";
import { askWarden } from "../../src/cli/request-warden.ts";
import { formatWardenAnswer } from "../../src/warden/warden-answer.ts";

/** A state directory that a process holds which ignores every request, as a warden that is replaced does for a while. */
async function withBusyWarden(work: (stateDirectory: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "busy-"));
  const lock = join(folder, "lock");
  mkdirSync(join(folder, REQUEST_FOLDER), { mode: 0o700 });
  writeFileSync(lock, "", { mode: 0o600 });
  const script = `trap '' USR1; echo $$ > ${lock}; touch ${folder}/ready; read -r _`;
  const holder = Bun.spawn(["flock", "--no-fork", lock, "sh", "-c", script], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  try {
    while (!existsSync(join(folder, "ready"))) await Bun.sleep(5);
    await work(folder);
  } finally {
    holder.kill("SIGKILL");
    await holder.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(process.geteuid?.() !== 0)("a command whose request is not answered yet", () => {
  test("says so at each interval, and takes an answer that comes late", () =>
    withBusyWarden(async (folder) => {
      const waited: number[] = [];
      const onWaiting = (seconds: number): void => {
        waited.push(seconds);
        const requests = join(folder, REQUEST_FOLDER);
        const [name] = readdirSync(requests).filter(isRequestName);
        const answer = { epoch: 7, problems: [], notes: [], status: null };
        if (waited.length === 2 && name !== undefined)
          writeFileSync(join(requests, answerName(name)), formatWardenAnswer(answer), { mode: 0o600 });
      };
      const answer = await askWarden(
        folder,
        { kind: "reload" },
        { limitMs: 60_000, intervalMs: 30, onWaiting },
      );
      expect(answer).toMatchObject({ epoch: 7 });
      expect(waited.length).toBeGreaterThanOrEqual(2);
    }));

  test("ends with 4 after its limit, and names where to look", () =>
    withBusyWarden(async (folder) => {
      const wait = { limitMs: 50, intervalMs: 10, onWaiting: () => undefined };
      const asked = askWarden(folder, { kind: "reload" }, wait);
      await expect(asked).rejects.toMatchObject({
        code: 4,
        message: expect.stringContaining("has not answered within 1 s"),
        hint: expect.stringContaining("treewarden events"),
      });
    }));
});
