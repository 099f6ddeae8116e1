import { expect, test } from "bun:test";
import { columnLines } from "../../src/cli/columns.ts";

test("columns are as wide as their widest cell, numbers end at the right, and no line ends with a space", () => {
  const rows = [
    ["PID", "USER", "UNIT"],
    ["7", "postgres", ""],
    ["12345", "root", "cron.service"],
  ];
  expect(columnLines(rows, new Set([0]))).toEqual([
    "  PID  USER      UNIT",
    "    7  postgres",
    "12345  root      cron.service",
  ]);
});
