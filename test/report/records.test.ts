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

test("a record has the environment variables that are set, each with its beginning, and no others", () => {
  const program = {
    "process.executable.path": "/usr/bin/ls",
    "process.environment_variable.LD_PRELOAD": "/srv/x\ny.so",
    "process.environment_variable.BASH_ENV": "x".repeat(8_000),
  };
  const record = records.exec(testSubject({ lineage: [program] }), "process.exec", () => "uid");
  const names = Object.keys(record).filter((name) => name.startsWith("process.environment_variable."));
  expect(names).toHaveLength(2);
  expect(record["process.environment_variable.LD_PRELOAD"]).toBe("/srv/x\\x0ay.so");
  expect(String(record["process.environment_variable.BASH_ENV"])).toHaveLength(1_027);
});
