import { expect, test } from "bun:test";
import { bootTicks, MS_PER_TICK, NS_PER_TICK, TICKS_PER_SECOND } from "../../src/linux/ticks.ts";

test("a second has as many ticks as sysconf(3) says", () => {
  expect(TICKS_PER_SECOND).toBe(Number(Bun.spawnSync(["getconf", "CLK_TCK"]).stdout.toString()));
});

test("a tick that has begun does not count", () => {
  expect([0, NS_PER_TICK - 1, NS_PER_TICK].map(bootTicks)).toEqual([0, 0, 1]);
  expect(MS_PER_TICK * 1e6).toBe(NS_PER_TICK);
});
