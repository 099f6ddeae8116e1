import { expect, test } from "bun:test";
import { constants } from "node:os";
import { boottimeNow, monotonicNow, realtimeNow } from "../../src/linux/clock.ts";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { pidfdOpen } from "../../src/linux/pidfd.ts";
import { SignalDescriptor } from "../../src/linux/signalfd.ts";
import { Timer } from "../../src/linux/timerfd.ts";

const ms = 1_000_000;

test("a poll without descriptors returns after its timeout with nothing", () => {
  using poll = new Poll();
  expect(poll.wait(1)).toBe(0);
});

test("a poll names the ready descriptor by its token", () => {
  using poll = new Poll();
  using early = new Timer();
  using late = new Timer();
  poll.add(early.fd, 0xfedc_ba98, EPOLLIN);
  poll.add(late.fd, 2, EPOLLIN);
  early.armOnce(ms);
  late.armOnce(10_000 * ms);
  expect(poll.wait(5000)).toBe(1);
  expect(poll.tokens[0]).toBe(0xfedc_ba98);
  expect(poll.events[0]).toBe(EPOLLIN);
});

test("a removed descriptor is not reported, a modified one under its new token", () => {
  using poll = new Poll();
  using timer = new Timer();
  timer.armOnce(1);
  poll.add(timer.fd, 1, EPOLLIN);
  poll.modify(timer.fd, 7, EPOLLIN);
  expect(poll.wait(1000)).toBe(1);
  expect(poll.tokens[0]).toBe(7);
  poll.remove(timer.fd);
  expect(poll.wait(0)).toBe(0);
});

test("no more descriptors than the capacity are reported at once", () => {
  using poll = new Poll(1);
  using first = new Timer();
  using second = new Timer();
  for (const timer of [first, second]) {
    timer.armOnce(1);
    poll.add(timer.fd, timer.fd, EPOLLIN);
  }
  expect(poll.wait(1000)).toBe(1);
});

test("adding a closed descriptor fails and says which", () => {
  using poll = new Poll();
  expect(() => poll.add(9999, 0, EPOLLIN)).toThrow("epoll_ctl fd 9999: EBADF");
});

test("a periodic timer counts its expirations until it is disarmed", async () => {
  using timer = new Timer();
  timer.armEvery(ms);
  await Bun.sleep(20);
  expect(timer.read()).toBeGreaterThan(5);
  timer.disarm();
  timer.read();
  await Bun.sleep(5);
  expect(timer.read()).toBe(0);
});

test("a timer of more than a second keeps its seconds", () => {
  using timer = new Timer();
  timer.armOnce(1_000_000_001);
  using poll = new Poll();
  poll.add(timer.fd, 0, EPOLLIN);
  expect(poll.wait(100)).toBe(0);
});

test("the clocks advance, and boottime is never behind monotonic", () => {
  const before = monotonicNow();
  const boot = boottimeNow();
  const after = monotonicNow();
  expect(after).toBeGreaterThan(before);
  expect(boot).toBeGreaterThanOrEqual(before);
});

test("the time of day agrees with the runtime's", () => {
  // The runtime's has whole milliseconds.
  const before = Date.now();
  const now = realtimeNow() / 1e6;
  const after = Date.now() + 1;
  expect(now).toBeGreaterThanOrEqual(before);
  expect(now).toBeLessThanOrEqual(after);
});

test("a signal through a pidfd ends the process it was opened for", async () => {
  const child = Bun.spawn(["sleep", "100"]);
  using handle = pidfdOpen(child.pid);
  expect(handle?.signal(0)).toBe(true);
  expect(handle?.signal(constants.signals.SIGKILL)).toBe(true);
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  expect(handle?.signal(constants.signals.SIGKILL)).toBe(false);
});

test("a pidfd becomes readable when its process ends", async () => {
  const child = Bun.spawn(["sleep", "0.05"]);
  using handle = pidfdOpen(child.pid);
  using poll = new Poll();
  poll.add(handle?.fd ?? -1, 5, EPOLLIN);
  expect(poll.wait(5000)).toBe(1);
  await child.exited;
});

test("no handle is given on a pid that nobody has", () => {
  // Above the largest possible pid (PID_MAX_LIMIT, 4 Mi).
  expect(pidfdOpen(2 ** 22 + 1)).toBeNull();
});

test("nothing is read from a signalfd without a pending signal", () => {
  using signals = new SignalDescriptor(["SIGUSR2"]);
  expect(signals.read()).toBe(0);
});
