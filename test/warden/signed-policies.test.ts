// An older policy is refused by every later warden: when the newest was signed is kept in root's state directory.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type WriteFile, writeNow } from "../../src/warden/atomic-file-writer.ts";
import { newestOf, readNewestSigned, SignedPolicies } from "../../src/warden/signed-policies.ts";

let stateDirectory = "";
let file = "";
beforeEach(() => {
  stateDirectory = mkdtempSync(join(tmpdir(), "signed-policies-"));
  file = join(stateDirectory, "signed-policies.json");
});
afterEach(() => rmSync(stateDirectory, { recursive: true }));

function policies(writeFile: WriteFile = writeNow, events: string[] = []): SignedPolicies {
  return new SignedPolicies({ stateDirectory, writeFile, recordChange: (event) => events.push(event) });
}

test("the newest time of each role is kept, also of roles that are not in force any more", () => {
  policies().remember(new Map([["web", 200]]));
  policies().remember(new Map([["db", 100]]));
  policies().remember(new Map([["web", 150]]));
  const saved = readNewestSigned(stateDirectory);
  expect(saved).toEqual(
    new Map([
      ["db", 100],
      ["web", 200],
    ]),
  );
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(newestOf(new Map([["a", 1]]), new Map([["a", 2]]))).toEqual(new Map([["a", 2]]));
});

test("without signed policies there is no file", () => {
  policies().remember(new Map());
  expect(statSync(file, { throwIfNoEntry: false })).toBeUndefined();
  expect(readNewestSigned(stateDirectory)).toEqual(new Map());
});

test("a file that is broken, or that others can write, is a problem and not an empty one", () => {
  writeFileSync(file, '{"version":1,"signed":{"web":-1}}');
  expect(readNewestSigned(stateDirectory)).toMatchObject({ file, message: expect.stringContaining("older") });
  writeFileSync(file, '{"version":1,"signed":{}}');
  chmodSync(file, 0o666);
  expect(readNewestSigned(stateDirectory)).toMatchObject({ fix: `chmod go-w ${file}` });
});

test("what could not be saved is reported, and saved with the next policy", () => {
  const events: string[] = [];
  let isFull = true;
  const kept = policies((path, text, failed) => {
    if (isFull) failed(new Error("ENOSPC"));
    else writeNow(path, text, failed);
  }, events);
  kept.remember(new Map([["web", 200]]));
  expect(events).toEqual(["policy.not_saved"]);
  isFull = false;
  kept.remember(new Map([["web", 200]]));
  expect(readNewestSigned(stateDirectory)).toEqual(new Map([["web", 200]]));
});
