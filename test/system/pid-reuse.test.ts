// No process is ever signalled in place of another that had its pid before: the pids of processes that are to be killed are
// given to others at once, while the warden is held up every now and then.
//
// TREEWARDEN_TEST_PIDS=10000 makes it the long form.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, pidOf } from "./live.ts";
import { newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PIDS = Number(process.env.TREEWARDEN_TEST_PIDS ?? 600);
const WORKERS = 20;
const MALLORY = 64_152;
/** ms, on a machine that is busy with other things. */
const COMPILES_WITHIN = 60_000;
let folder = "";

beforeAll(() => {
  folder = newFolder();
  const reuse = compile(folder, "reuse");
  for (const name of ["tw-doomed", "tw-innocent"]) {
    linkSync(reuse, join(folder, name));
  }
  const when = {
    and: [
      { "==": [{ var: "process.user.id" }, MALLORY] },
      { "==": [{ var: "process.executable.path" }, join(folder, "tw-doomed")] },
    ],
  };
  const policy = { role: "role", rules: [{ id: "doomed", when, action: "kill" }], default: "allow" };
  writeFileSync(join(folder, "role.json"), JSON.stringify(policy));
  writeFileSync(
    join(folder, "config.yaml"),
    `policies: [${join(folder, "role.json")}]\nenforcement: kill\narmed: [role/doomed]\narmed_since_hours: 0\nsource: ebpf\n`,
  );
}, COMPILES_WITHIN);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Stops the warden for some 30 ms again and again, until `ended`. */
async function holdUp(running: Running, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  void ended.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const warden = pidOf(running, "warden");
    process.kill(warden, "SIGSTOP");
    await Bun.sleep(30);
    process.kill(warden, "SIGCONT");
    await Bun.sleep(70);
  }
}

describe.skipIf(reason !== undefined)(`${PIDS} pids of doomed processes, each given to another`, () => {
  test(
    "cost none of those the life",
    async () => {
      await using running = await Running.start(["--config", join(folder, "config.yaml")]);
      const words = [
        Math.ceil(PIDS / WORKERS),
        WORKERS,
        MALLORY,
        join(folder, "tw-doomed"),
        join(folder, "tw-innocent"),
      ];
      const reuse = Bun.spawn([join(folder, "reuse"), ...words.map(String)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await holdUp(running, reuse.exited);
      const [reused = 0, killed = 0, wrong = 0] = (await new Response(reuse.stdout).text())
        .split(" ")
        .map(Number);
      console.log(`${reused} pids were reused: ${killed} doomed processes killed, ${wrong} others`);
      expect(reused).toBeGreaterThan(PIDS / 2);
      expect(killed).toBeGreaterThan(PIDS / 20);
      expect(wrong).toBe(0);
    },
    20_000 + PIDS * 20,
  );
});
