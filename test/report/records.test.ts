import { expect, test } from "bun:test";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { records } from "../../src/report/records.ts";
import { createRedaction } from "../../src/report/redact.ts";

function argumentsOf(...args: readonly string[]): unknown {
  const program = { "process.executable.path": "/usr/bin/printf", "process.command_args": [...args] };
  const record = records.exec(testSubject({ lineage: [program] }), "process.exec", () => "uid");
  return createRedaction("redacted", [])(record)["process.command_args"];
}

test("a newline in an argument and the four characters \\x0a are two things in a record", () => {
  expect(argumentsOf("printf", "\n")).toEqual(["printf", "\\x0a"]);
  expect(argumentsOf("printf", "\\x0a")).toEqual(["printf", "\\\\x0a"]);
});

test("a label that is escaped already is not escaped again", () => {
  const lineage = ["/usr/bin/a\\b", "/usr/bin/c"];
  const record = records.exec(testSubject({ lineage }), "process.exec", () => "uid");
  expect(record).toMatchObject({
    "tree.path": "/a\\\\b/c",
    "tree.labels": ["a\\\\b", "c"],
    "process.parent.executable.path": "/usr/bin/a\\\\b",
  });
});

test("an escaped backslash hides no secret from redaction", () => {
  expect(argumentsOf("env", "TOKEN=a\\b")).toEqual(["env", "TOKEN=[redacted]"]);
});
