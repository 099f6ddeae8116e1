// Whatever is asked, answered and forgotten in whatever order: no answer counts that is older than what was forgotten.
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { ListedPattern } from "../../src/examiner/client.ts";
import { ListedFiles } from "../../src/warden/listed-files.ts";

const patterns = ["/usr/bin/a", "/usr/bin/b", "/opt/c"] as const;
const SECOND = 1_000_000_000n;

/** A host on which every file changes now and then, and an examiner that answers each question about a path in its turn. */
class Host {
  readonly unanswered: string[] = [];
  private readonly unread: ListedPattern[] = [];
  now = 1_800_000_000n * SECOND;
  /** How often the files have changed. */
  changes = 0;
  readonly listed = new ListedFiles({
    ask: (paths) => this.unanswered.push(...paths),
    now: () => this.now,
  });

  /** The examiner answers the next question. */
  answerNext(): void {
    const pattern = this.unanswered.shift();
    if (pattern !== undefined) this.unread.push({ pattern, paths: [String(this.changes)] });
  }

  /** The warden reads the next answer. */
  readNext(): void {
    const answer = this.unread.shift();
    if (answer !== undefined) this.listed.onListed([answer]);
  }

  finish(): void {
    while (this.unanswered.length > 0) this.answerNext();
    while (this.unread.length > 0) this.readNext();
  }

  /** After how many changes the answer was given; undefined: nothing is known. */
  known(pattern: string): number | undefined {
    const files = this.listed.get(pattern);
    return files && Number(files.paths?.[0]);
  }
}

type Act = (host: Host) => void;
const act = fc.oneof(
  fc.constantFrom(...patterns).map(
    (pattern): Act =>
      (host) =>
        void host.known(pattern),
  ),
  fc.constantFrom<Act>(
    (host) => host.listed.askWanted(),
    (host) => host.answerNext(),
    (host) => host.readNext(),
    (host) => {
      host.changes += 1;
      host.listed.forget();
    },
    (host) => {
      host.changes += 1;
      host.listed.forgetBelow(new Set(["/usr/bin", "/opt"]));
    },
    (host) => host.listed.refresh(),
    (host) => {
      host.now += SECOND;
    },
  ),
);

test("no answer counts that was given before the last change, and in the end each is the latest", () => {
  fc.assert(
    fc.property(fc.array(act, { minLength: 20, maxLength: 60 }), (acts) => {
      const host = new Host();
      for (const each of acts) {
        each(host);
        for (const pattern of patterns) expect(host.known(pattern) ?? host.changes).toBe(host.changes);
      }
      for (const pattern of patterns) host.known(pattern);
      host.listed.askWanted();
      host.finish();
      expect(host.listed.isAwaited).toBe(false);
      for (const pattern of patterns) expect(host.known(pattern)).toBe(host.changes);
    }),
    { numRuns: 500 },
  );
});

test("whoever asks on and on has each path asked for twice at most, however often the clock ticks", () => {
  const host = new Host();
  let asked = 0;
  for (let i = 0; i < 60; i += 1) {
    for (const pattern of patterns) host.known(pattern);
    host.listed.askWanted();
    asked += host.unanswered.length;
    host.finish();
    host.now += SECOND;
  }
  expect(asked).toBe(2 * patterns.length);
});
