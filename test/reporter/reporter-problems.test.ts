// What `status` shows of the reporter: its own statement, which may be anything if it was taken over.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseProblems, ReporterProblems } from "../../src/reporter/reporter-problems.ts";

test("what does not work is stated with its beginning, until it works again", () => {
  let stored: string | undefined = JSON.stringify([
    { what: "mail", since: 1, text: "of an earlier reporter" },
  ]);
  let writes = 0;
  const problems = new ReporterProblems((text) => {
    stored = text;
    writes += 1;
  });
  expect(parseProblems(stored)).toEqual([]);
  problems.begin("logs", "cannot export logs over OTLP: refused");
  const [first] = parseProblems(stored);
  problems.begin("logs", "cannot export logs over OTLP: refused");
  problems.begin("logs", "cannot export logs over OTLP: no answer");
  problems.begin("endpoint", "the endpoint cannot listen");
  expect(parseProblems(stored)).toEqual([
    { what: "logs", since: first?.since ?? 0, text: "cannot export logs over OTLP: no answer" },
    { what: "endpoint", since: expect.any(Number), text: "the endpoint cannot listen" },
  ]);
  problems.end("logs");
  problems.end("logs");
  problems.end("endpoint");
  expect(parseProblems(stored)).toEqual([]);
  expect(writes).toBe(6);
});

test("no text makes the command fail, and what it shows is bounded", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(parseProblems(text).length).toBeLessThanOrEqual(8);
    }),
  );
  const many = Array.from({ length: 9 }, () => ({ what: "logs", since: 1, text: "x" }));
  expect(parseProblems(JSON.stringify(many))).toEqual([]);
  expect(parseProblems(JSON.stringify([{ what: "logs", since: 1, text: "x".repeat(2_000) }]))).toEqual([]);
});
