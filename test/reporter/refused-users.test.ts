// What is logged about wrong names and passwords at the endpoint.
import { expect, test } from "bun:test";
import { RefusedUsers } from "../../src/reporter/refused-users.ts";

test("one line a minute at most, with the number of requests since the last one", () => {
  const lines: string[] = [];
  let now = 1_000;
  const refused = new RefusedUsers(
    (line) => lines.push(line),
    () => now,
  );
  refused.add("192.0.2.1");
  refused.add("192.0.2.1");
  now += 59_999;
  refused.add("192.0.2.2");
  now += 1;
  refused.add("192.0.2.3");
  expect(lines).toEqual([
    "the endpoint refused a request from 192.0.2.1: wrong name or password",
    "the endpoint refused 3 requests, the last from 192.0.2.3: wrong name or password",
  ]);
});
