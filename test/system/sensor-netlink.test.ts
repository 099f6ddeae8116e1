// The process connector against real processes. Needs root in the host's namespaces, and a C compiler.
import { dlopen } from "bun:ffi";
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { CN_IDX_PROC } from "../../src/linux/connector.ts";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import type { ProcessEvent } from "../../src/sensor/event.ts";
import { openNetlinkSensor } from "../../src/sensor/netlink/sensor.ts";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import { scanProcesses } from "../../src/sensor/procfs/scan.ts";
import { SensorUnavailable } from "../../src/sensor/unavailable.ts";
import { everySensor } from "../sensor/suite.ts";

function whyNot(): string | undefined {
  if (process.env.CI === "true") return undefined;
  if (process.geteuid?.() !== 0) return "only root may watch every process";
  if (Bun.which("gcc") === null) return "no C compiler";
  try {
    openNetlinkSensor()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (error instanceof SensorUnavailable) return error.message;
    throw error;
  }
}

const reason = whyNot();
everySensor("netlink", () => openNetlinkSensor(), reason);

describe.skipIf(reason !== undefined)("the process connector itself", () => {
  test("wakes its reader for an exec within a few milliseconds, and is silent after", async () => {
    using sensor = openNetlinkSensor();
    using poll = new Poll();
    poll.add(sensor.fd, 1, EPOLLIN);
    const child = Bun.spawn(["sleep", "0.2"]);
    const events: ProcessEvent[] = [];
    const deadline = performance.now() + 2000;
    while (!events.some((event) => event.kind === "exec" && event.pid === child.pid)) {
      expect(performance.now()).toBeLessThan(deadline);
      poll.wait(100);
      sensor.drain((event) => events.push(event));
    }
    const exec = events.find((event) => event.kind === "exec" && event.pid === child.pid);
    expect(exec?.kind === "exec" && exec.facts.args).toEqual(["sleep", "0.2"]);
    await child.exited;
  });

  test("notices that its sockets have left the group of process events, and nothing else", async () => {
    const before = new Set(readdirSync("/proc/self/fd"));
    using sensor = openNetlinkSensor();
    const look = async () => {
      await Bun.spawn(["/bin/true"]).exited;
      sensor.drain(() => undefined);
      return sensor.findTampering();
    };
    for (let i = 0; i < 3; i += 1) expect(await look()).toBeUndefined();
    const { symbols } = dlopen("libc.so.6", {
      setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    });
    // linux/netlink.h: SOL_NETLINK, NETLINK_DROP_MEMBERSHIP. Only two of the descriptors are sockets of that family.
    const group = new Uint32Array([CN_IDX_PROC]);
    const opened = readdirSync("/proc/self/fd").filter((fd) => !before.has(fd));
    const left = opened.filter((fd) => symbols.setsockopt(Number(fd), 270, 2, group, 4) === 0);
    expect(left.length).toBe(2);
    expect(await look()).toBeUndefined();
    await look();
    expect(await look()).toContain("reports nothing any more");
  });

  test("tells an exit that nothing else follows", async () => {
    using sensor = openNetlinkSensor();
    using poll = new Poll();
    poll.add(sensor.fd, 1, EPOLLIN);
    const child = Bun.spawn(["sleep", "0.3"]);
    let told = false;
    const deadline = performance.now() + 3000;
    while (!told && performance.now() < deadline) {
      poll.wait(100);
      sensor.drain((event) => {
        if (event.kind === "exit" && event.pid === child.pid) told = true;
      });
    }
    expect(told).toBe(true);
    await child.exited;
  });

  test("counts what its queue could not take, tells it once, and goes on", async () => {
    using sensor = openNetlinkSensor({ bufferBytes: 65_536 });
    const flood = Bun.spawn(["sh", "-c", "i=0; while [ $i -lt 300 ]; do (exit 0); i=$((i + 1)); done"]);
    await flood.exited;
    const events: ProcessEvent[] = [];
    sensor.drain((event) => events.push(event));
    const losses = events.filter((event) => event.kind === "loss");
    expect(losses.length).toBe(1);
    const lost = losses[0]?.kind === "loss" ? (losses[0].count ?? 0) : 0;
    expect(losses[0]).toMatchObject({ reason: "overrun" });
    // Each of the 300 is a fork and an exit; threads of other processes may be among the lost as well.
    expect(events.length - 1 + lost).toBeGreaterThanOrEqual(600);
    const next = Bun.spawn(["sh", "-c", "exit 0"]);
    await next.exited;
    await Bun.sleep(20);
    const later: ProcessEvent[] = [];
    sensor.drain((event) => later.push(event));
    expect(later.some((event) => event.kind === "exit" && event.pid === next.pid)).toBe(true);
    expect(later.some((event) => event.kind === "loss")).toBe(false);
  });

  test("after a loss a scan makes its records those of the living", async () => {
    using sensor = openNetlinkSensor({ bufferBytes: 65_536 });
    using reader = new FactsReader();
    const flood = Bun.spawn(["sh", "-c", "i=0; while [ $i -lt 300 ]; do (exit 0); i=$((i + 1)); done"]);
    await flood.exited;
    sensor.drain(() => undefined);
    const scan = scanProcesses(reader);
    sensor.reconcile(scan);
    expect(sensor.processes).toBeLessThanOrEqual(scan.length);
  });

  test("keeps no record of what has ended", async () => {
    using sensor = openNetlinkSensor();
    const before = sensor.processes;
    const flood = Bun.spawn(["sh", "-c", "i=0; while [ $i -lt 200 ]; do (exit 0); i=$((i + 1)); done"]);
    await flood.exited;
    await Bun.sleep(5);
    sensor.drain(() => undefined);
    expect(sensor.processes).toBeLessThan(before + 100);
  });

  test("leaves no descriptor behind", () => {
    const open = () => [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
    openNetlinkSensor()[Symbol.dispose]();
    const before = open();
    for (let i = 0; i < 20; i += 1) openNetlinkSensor()[Symbol.dispose]();
    expect(open()).toBeLessThanOrEqual(before);
  });

  test("in a pid namespace says that the kernel does not answer, and why", () => {
    const script = `
      import { openNetlinkSensor } from "${import.meta.dir}/../../src/sensor/netlink/sensor.ts";
      try { openNetlinkSensor(); } catch (error) { process.stdout.write(error.message + "|" + error.hint); }
    `;
    const { stdout } = Bun.spawnSync([
      "unshare",
      "--pid",
      "--fork",
      "--mount-proc",
      process.execPath,
      "-e",
      script,
    ]);
    expect(stdout.toString()).toContain("not the host's pid namespace");
    expect(stdout.toString()).toContain("--pid=host");
  });

  test("in a network namespace says so", () => {
    const script = `
      import { openNetlinkSensor } from "${import.meta.dir}/../../src/sensor/netlink/sensor.ts";
      try { openNetlinkSensor(); } catch (error) { process.stdout.write(error.message); }
    `;
    const { stdout } = Bun.spawnSync(["unshare", "--net", process.execPath, "-e", script]);
    expect(stdout.toString()).toContain("network namespace");
  });
});
