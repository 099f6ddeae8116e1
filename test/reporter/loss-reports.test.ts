import { expect, jest, test } from "bun:test";
import { LossReports, type QueueLoss } from "../../src/reporter/loss-reports.ts";

const loss = (missing: number, reason: QueueLoss["reason"] = "rejected"): QueueLoss => ({
  queue: "export",
  missing,
  reason,
});

test("a loss is reported at once, what follows within a minute together, each reason alone", () => {
  jest.useFakeTimers();
  try {
    const reports: QueueLoss[] = [];
    const losses = new LossReports((report) => reports.push(report));
    losses.add(loss(1));
    losses.add(loss(2));
    jest.advanceTimersByTime(1);
    expect(reports).toEqual([loss(3)]);
    for (let i = 0; i < 100; i += 1) losses.add(loss(1));
    losses.add(loss(5, "not_exported"));
    jest.advanceTimersByTime(59_000);
    expect(reports.length).toBe(1);
    jest.advanceTimersByTime(2_000);
    expect(reports.slice(1)).toEqual([loss(100), loss(5, "not_exported")]);
    losses.add(loss(4));
    losses.flush();
    expect(reports.at(-1)).toEqual(loss(4));
  } finally {
    jest.useRealTimers();
  }
});
