// The source of events in the poll loop: the one that was opened, or the one that took over when it failed.
import type { Config } from "../config/config.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import type { Policy } from "../policy/policy.ts";
import type { Totals } from "../report/totals.ts";
import { version } from "../report/version.ts";
import type { ExecEvent, ProcessEvent, Sensor, SensorSource } from "../sensor/event.ts";
import type { LastResort, OpenedSensor } from "../sensor/open.ts";
import type { SourceChoice } from "../vocabulary/sensors.ts";
import type { Epoch } from "./epoch.ts";
import { wakeupPolicyOf } from "./wakeup-policy.ts";

export interface EventSourceInputs {
  readonly config: Config;
  readonly poll: Poll;
  readonly token: number;
  readonly totals: Totals;
  readonly epoch: Epoch;
  /** Opens and subscribes. Throws if the host does not allow what was chosen. */
  readonly open: (choice: SourceChoice, lastResort?: LastResort) => OpenedSensor;
}

export class EventSource implements Disposable {
  private readonly inputs: EventSourceInputs;
  private opened: OpenedSensor;
  private watched = false;

  constructor(inputs: EventSourceInputs) {
    this.inputs = inputs;
    this.opened = inputs.open(inputs.config.source);
    this.enter(undefined);
    inputs.epoch.onRaise((epoch) => this.sensor.setEpoch?.(epoch));
  }

  get sensor(): Sensor {
    return this.opened.sensor;
  }

  get name(): SensorSource {
    return this.opened.sensor.source;
  }

  /** Why this one, for a person. */
  get why(): string {
    return this.opened.why;
  }

  drain(sink: (event: ProcessEvent) => void): void {
    this.sensor.drain(sink);
  }

  /** Whether somebody watches every exec. */
  watch(on: boolean): void {
    this.watched = on;
    this.sensor.live = on;
  }

  settle(event: ExecEvent): void {
    this.sensor.settle?.(event);
  }

  /** Sets which execs wake the reader at once, anew for each policy; true if execs can be settled under it. */
  applyWakeupPolicy(policy: Policy): boolean {
    const wakeup = wakeupPolicyOf(policy, this.inputs.config.enforcement);
    this.sensor.setWakeupPolicy?.(wakeup);
    return wakeup === "unsettled" && this.sensor.settle !== undefined;
  }

  /**
   * The sensor has failed for good, by `failure`: the next one that the host allows takes over. A sensor that the
   * administrator chose is not exchanged: then, as where no other can be opened, the failure is thrown. Returns the
   * source that failed.
   */
  replace(failure: unknown): SensorSource {
    const { source } = this.inputs.config;
    if (source !== "auto") throw failure;
    const failed = this.name;
    this.inputs.poll.remove(this.sensor.fd);
    this.sensor[Symbol.dispose]();
    this.opened = this.inputs.open(source, { source: failed, reason: String(failure) });
    this.enter(failed);
    return failed;
  }

  [Symbol.dispose](): void {
    this.sensor[Symbol.dispose]();
  }

  private enter(before: SensorSource | undefined): void {
    const { poll, token, totals, config, epoch } = this.inputs;
    const { enforcement } = config;
    poll.add(this.sensor.fd, token, EPOLLIN);
    this.sensor.live = this.watched;
    this.sensor.setEpoch?.(epoch.current);
    if (before !== undefined) totals.remove("info", { version, source: before, enforcement });
    totals.gauge("info", { version, source: this.name, enforcement }).set(1);
  }
}
