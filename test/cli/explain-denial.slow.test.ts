// What `explain --connect` says of a rule that denies: whether the kernel refuses the call.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = join(import.meta.dir, "../../src/main.ts");

test.each([
  ["process.user.id", { "<": [{ var: "process.user.id" }, 5_000_000] }, "the kernel refuses the call"],
  ["process.user.name", { "!=": [{ var: "process.user.name" }, "x"] }, "does not know process.user.name"],
])("of a rule on %s", (_, when, text) => {
  const folder = mkdtempSync(join(tmpdir(), "tw-explain-"));
  try {
    const policy = join(folder, "role.json");
    const rule = { id: "d", on: ["connect"], when, action: "deny" };
    writeFileSync(policy, JSON.stringify({ role: "role", rules: [rule] }));
    const command = [process.execPath, main, "explain", String(process.pid), "--policy", policy];
    const { stdout } = Bun.spawnSync([...command, "--connect", "203.0.113.7:443", "--output", "json"]);
    const record = JSON.parse(stdout.toString());
    expect(record["policy.action"]).toBe("deny");
    expect(record["explain.denial"]).toContain(text);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
