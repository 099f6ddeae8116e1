import { afterEach, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { EBUSY, ETIMEDOUT } from "../../../src/linux/libc.ts";
import {
  CONTAINED_ROOT,
  chargedUser,
  LimitedReads,
  type Occasion,
  UNKNOWN_USER,
} from "../../../src/sensor/procfs/limited-reads.ts";
import { emptyPipe } from "../../linux/empty-pipe.ts";

const MALLORY = 1001;
const ALICE = 1002;

const writers: number[] = [];

afterEach(() => {
  for (const fd of writers.splice(0)) closeSync(fd);
});

class Reads {
  /** A scan waits for longer, so that a busy machine makes no difference. */
  occasion: Occasion = "scan";
  private user = MALLORY;
  private readonly reads = new LimitedReads(4096, () => this.user);

  get data(): Uint8Array {
    return this.reads.data;
  }

  of(user: number, fd: number): number {
    this.user = user;
    this.reads.begin(fd, 4096, this.occasion);
    return this.reads.end();
  }

  /** A read that hangs until the test has ended. */
  hang(user: number): number {
    const pipe = emptyPipe();
    writers.push(pipe.writer);
    return this.of(user, pipe.reader);
  }

  plain(user: number): number {
    return this.of(user, openSync("/proc/self/cmdline", "r"));
  }
}

test("arguments are read, whoever runs the process", () => {
  const reads = new Reads();
  const length = reads.plain(MALLORY);
  expect(length).toBeGreaterThan(0);
  const [program] = new TextDecoder().decode(reads.data.subarray(0, length)).split("\0");
  expect(program).toBe(process.argv0);
});

test("after four reads that hang a user's are no longer made; another user's are", () => {
  const reads = new Reads();
  for (let i = 0; i < 4; i += 1) expect(reads.hang(MALLORY)).toBe(-ETIMEDOUT);
  expect(reads.plain(MALLORY)).toBe(-EBUSY);
  expect(reads.plain(ALICE)).toBeGreaterThan(0);
});

test("they are made again when the reads have ended", async () => {
  const reads = new Reads();
  for (let i = 0; i < 4; i += 1) reads.hang(MALLORY);
  for (const fd of writers.splice(0)) closeSync(fd);
  await Bun.sleep(50);
  expect(reads.plain(MALLORY)).toBeGreaterThan(0);
});

test("a user who makes reads hang and lets them go by turns has their time used up; another user has not", async () => {
  const reads = new Reads();
  const results: number[] = [];
  reads.occasion = "exec";
  for (let i = 0; i < 12; i += 1) {
    results.push(reads.hang(MALLORY));
    for (const fd of writers.splice(0)) closeSync(fd);
    await Bun.sleep(1);
  }
  expect(results.filter((result) => result === -ETIMEDOUT).length).toBeLessThanOrEqual(8);
  expect(results.at(-1)).toBe(-EBUSY);
  reads.occasion = "scan";
  expect(reads.plain(ALICE)).toBeGreaterThan(0);
});

test("on a host without CPU to spare root's processes are waited for, as nobody holds them", () => {
  const reads = new Reads();
  const begin = performance.now();
  expect(reads.hang(0)).toBe(-ETIMEDOUT);
  const ms = performance.now() - begin;
  expect(ms).toBeGreaterThan(900);
  expect(ms).toBeLessThan(5_000);
  expect(reads.plain(0)).toBeGreaterThan(0);
});

test("root's processes from which the CPU is withheld are waited for 2 s of 10 s, and then as long as any user's", () => {
  const reads = new Reads();
  reads.occasion = "exec";
  const begin = performance.now();
  for (let i = 0; i < 12; i += 1) reads.hang(0);
  const ms = performance.now() - begin;
  expect(ms).toBeGreaterThan(1_900);
  expect(ms).toBeLessThan(4_000);
  expect(reads.hang(0)).toBe(-EBUSY);
  expect(reads.plain(ALICE)).toBeGreaterThan(0);
});

test("two users and all that they can become leave room for a third one", () => {
  const reads = new Reads();
  const users = [MALLORY, chargedUser(100_000, true)];
  for (const user of users) for (let i = 0; i < 6; i += 1) reads.hang(user);
  expect(reads.hang(1003)).toBe(-ETIMEDOUT);
  expect(reads.plain(ALICE)).toBeGreaterThan(0);
});

test.each([
  [1000, true, 1000],
  [0, true, 0],
  [65_534, true, 65_534],
  [1_234_500_000, true, 1_234_500_000],
  [0, false, CONTAINED_ROOT],
  // newuidmap(1) gives these to everybody, and set-user-id programs of theirs run outside of the user namespace too.
  [100_000, true, 100_000],
  [165_535, true, 100_000],
  [165_535, false, 100_000],
  [165_536, true, 165_536],
  // In a user namespace a user has his own number or a subordinate one: he uses up no share of others.
  [1000, false, 1000],
  [undefined, true, UNKNOWN_USER],
])("user %p, on the host: %p, is charged as %p", (uid, isHosts, user) => {
  expect(chargedUser(uid, isHosts)).toBe(user);
});
