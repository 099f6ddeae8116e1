import { expect, test } from "bun:test";
import { parseTracer, tracerOf } from "../../../src/linux/proc/tracer.ts";

test("the tracer is read from its line, whatever the process is called", () => {
  const status = (name: string, tracer: number) =>
    `Name:\t${name}\nState:\tS (sleeping)\nPid:\t12\nTracerPid:\t${tracer}\nUid:\t0\t0\t0\t0\n`;
  expect(parseTracer(status("sshd", 0))).toBe(0);
  expect(parseTracer(status("TracerPid:\\t7", 4711))).toBe(4711);
  expect(parseTracer("Name:\tsshd\n")).toBe(0);
});

test("nobody traces this process, nor one that does not exist", () => {
  expect(tracerOf(process.pid)).toBe(0);
  expect(tracerOf(0)).toBe(0);
});
