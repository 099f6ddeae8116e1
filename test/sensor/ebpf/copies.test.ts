// Copies of programs by the kernel's version, and what the kernel skipped of them.
import { expect, test } from "bun:test";
import { copyNames, missedByAll } from "../../../src/sensor/ebpf/copies.ts";
import { hasPreemptiblePrograms } from "../../../src/sensor/ebpf/kernel.ts";

test("programs have copies from Linux 7.0 on", () => {
  expect(
    ["5.10.0-46-cloud-amd64", "6.19.1", "7.0.0-rc1", "7.3.4+deb13-amd64"].map(hasPreemptiblePrograms),
  ).toEqual([false, false, true, true]);
  expect(copyNames("exec", { hasPreemptiblePrograms: false })).toEqual(["exec"]);
  expect(copyNames("exec", { hasPreemptiblePrograms: true })).toEqual(["exec", "exec.2", "exec.3", "exec.4"]);
});

test("of a program without copies every skipped run is a lost event", () => {
  expect(
    missedByAll([
      ["exec", 2],
      ["connect4", 3],
      ["connect6", 1],
    ]),
  ).toBe(6);
});

test("what any copy has seen is not lost", () => {
  expect(
    missedByAll([
      ["exec", 9],
      ["exec.2", 4],
      ["exec.3", 0],
    ]),
  ).toBe(0);
  expect(
    missedByAll([
      ["exec", 9],
      ["exec.2", 4],
      ["exec.3", 1],
      ["fork", 2],
      ["fork.2", 5],
    ]),
  ).toBe(3);
});
