// process.args_truncated: rules on arguments must be able to tell that they saw a part.
import { expect, test } from "bun:test";
import { readerOf, type Subject } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";

const whole = testSubject({
  lineage: [{ "process.executable.path": "/usr/bin/ls", "process.command_args": ["ls", "-l"] }],
});

function truncated(facts: Partial<Subject["facts"]>): unknown {
  return readerOf("process.args_truncated")({ ...whole, facts: { ...whole.facts, ...facts } });
}

test("arguments that were read whole are not truncated", () => expect(truncated({})).toBe(false));

test("arguments that were cut at the limit are truncated", () =>
  expect(truncated({ argsTruncated: true })).toBe(true));

test("where the arguments could not be read nobody knows", () =>
  expect(truncated({ args: undefined })).toBeUndefined());
