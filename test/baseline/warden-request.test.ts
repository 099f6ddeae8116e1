import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatWardenRequest,
  isRequestName,
  parseWardenRequest,
  requestName,
  type WardenRequest,
} from "../../src/baseline/warden-request.ts";

const parse = (text: string) => parseWardenRequest(new TextEncoder().encode(text));

test("every request is read as it was written", () => {
  const requests: WardenRequest[] = [
    { kind: "learn", seconds: 86_400 },
    { kind: "learn", seconds: null },
    { kind: "stop-learning" },
    { kind: "reload-baseline" },
  ];
  for (const request of requests) expect(parse(formatWardenRequest(request))).toEqual(request);
});

test("whatever is not exactly a request is none", () => {
  for (const text of [
    "",
    "[]",
    '{"version":2,"kind":"reload-baseline"}',
    '{"version":1,"kind":"reload-baseline","more":1}',
    '{"version":1,"kind":"stop-learning","seconds":1}',
    '{"version":1,"kind":"learn"}',
    '{"version":1,"kind":"learn","seconds":0}',
    '{"version":1,"kind":"learn","seconds":1e9}',
    `{"version":1,"kind":"reload-baseline"}${" ".repeat(1_024)}`,
  ])
    expect([text, parse(text)]).toEqual([text, undefined]);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(parseWardenRequest(bytes)).toBeUndefined()));
});

test("names of requests are in the order of time, and no other file is one", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat({ max: 0xffff_ffff }), (a, b, random) => {
      const names = [requestName(a, random), requestName(b, random)] as const;
      expect(names.every(isRequestName)).toBe(true);
      expect(names[0] < names[1]).toBe(a < b);
    }),
  );
  expect(["lock", "../x.json", `${requestName(1, 1)}.new`].some(isRequestName)).toBe(false);
});
