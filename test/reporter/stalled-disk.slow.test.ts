import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder } from "../system/treewarden.ts";
import { Rig, until, verdict } from "./rig.ts";

test("a disk that does not answer delays no verdict and no scrape; what it has not taken is not acknowledged", async () => {
  const folder = newFolder();
  const library = join(folder, "stalled-disk.so");
  const stall = join(folder, "stall");
  const source = join(import.meta.dir, "stalled-disk.c");
  const made = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", library, source]);
  expect(made.stderr.toString()).toBe("");
  const rig = new Rig({ output: "json" }, { LD_PRELOAD: library, TREEWARDEN_TEST_STALL: stall });
  try {
    rig.startReporter();
    const { outbox } = rig.warden;
    outbox.reliable(verdict("first"));
    await until("the first is acknowledged", () => outbox.unacknowledged === 0);
    writeFileSync(stall, "");
    for (const name of ["second", "third"]) {
      outbox.reliable(verdict(name));
      await until(`the ${name} is shown`, () => rig.stdout.includes(`"${name}"`), 2_000);
    }
    expect((await rig.get("/healthz")).status).toBe(200);
    expect(outbox.unacknowledged).toBe(2);
    rmSync(stall);
    await until("the others are acknowledged", () => outbox.unacknowledged === 0);
  } finally {
    rmSync(stall, { force: true });
    await rig[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}, 30_000);
