import { expect, test } from "bun:test";
import { binary } from "./treewarden.ts";

test("explain says that a program is not there", () => {
  const steps = (path: string): string =>
    Bun.spawnSync([binary, "explain", "--exe", path, "--output", "json"]).stdout.toString();
  expect(steps("/nowhere/program")).toContain("no such file here");
  expect(steps("/bin/sh")).not.toContain("no such file here");
});
