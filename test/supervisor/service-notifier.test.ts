// What the supervisor reports to the service manager, without one.
import { describe, expect, test } from "bun:test";
import { ServiceNotifier, serviceManagerOf } from "../../src/supervisor/service-notifier.ts";

describe("the service manager is known by its variables:", () => {
  const cases: readonly (readonly [string, Record<string, string>, unknown])[] = [
    ["none", {}, undefined],
    ["an empty socket", { NOTIFY_SOCKET: "" }, undefined],
    ["a socket that is neither a path nor abstract", { NOTIFY_SOCKET: "vsock:2:1" }, undefined],
    ["a path longer than an address", { NOTIFY_SOCKET: `/${"x".repeat(107)}` }, undefined],
    ["a path", { NOTIFY_SOCKET: "/run/notify" }, { socket: "/run/notify" }],
    [
      "a path and an interval",
      { NOTIFY_SOCKET: "@notify", WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) },
      { socket: "@notify", keepAliveNs: 10e9 },
    ],
    [
      "an interval for another process",
      { NOTIFY_SOCKET: "@notify", WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" },
      { socket: "@notify" },
    ],
    [
      "an interval that is no number",
      { NOTIFY_SOCKET: "@notify", WATCHDOG_USEC: "soon" },
      { socket: "@notify" },
    ],
  ];
  for (const [name, variables, manager] of cases)
    test(name, () => expect<unknown>(serviceManagerOf(variables)).toEqual(manager));
});

function notifier(manager: ReturnType<typeof serviceManagerOf>) {
  const sent: string[] = [];
  const send = (address: string, text: string): boolean => sent.push(`${address} ${text}`) > 0;
  return { sent, notifier: new ServiceNotifier(manager, 0, send) };
}

test("without a service manager nothing is sent and nothing is due", () => {
  const { sent, notifier: none } = notifier(undefined);
  none.ready("ebpf");
  none.keepAlive(1e18);
  none.tookOver();
  expect(sent).toEqual([]);
  expect(none.dueAt).toBe(Number.POSITIVE_INFINITY);
});

test("a status cannot bring in another message: line ends are escaped", () => {
  const { sent, notifier: one } = notifier({ socket: "@n" });
  one.ready("ebpf\nMAINPID=1");
  expect(sent).toEqual(["@n READY=1\nSTATUS=ebpf\\x0aMAINPID=1"]);
});

test("keep-alive messages come once in their interval", () => {
  const { sent, notifier: one } = notifier({ socket: "@n", keepAliveNs: 100 });
  for (let now = 0; now <= 250; now += 10) one.keepAlive(now);
  expect(sent).toEqual(["@n WATCHDOG=1", "@n WATCHDOG=1", "@n WATCHDOG=1"]);
  expect(one.dueAt).toBe(300);
});
