// Polls a sensor until it has told enough.
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import type { ProcessEvent, Sensor } from "../../src/sensor/event.ts";

/** Until there are `count` events in all, or `ms` are over. */
export async function readRunning(
  sensor: Sensor,
  events: ProcessEvent[],
  count: number,
  ms = 3_000,
): Promise<void> {
  using poll = new Poll();
  poll.add(sensor.fd, 1, EPOLLIN);
  const end = performance.now() + ms;
  while (events.length < count && performance.now() < end) {
    if (poll.wait(20) > 0) sensor.drain((event) => events.push(event));
    await Bun.sleep(0);
  }
}
