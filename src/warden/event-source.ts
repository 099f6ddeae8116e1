// The source of events in the poll loop. If the sensor fails, another one replaces it.
import type { Config, Enforcement } from "../config/config.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import type { Policy } from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import type { Totals } from "../report/totals.ts";
import { version } from "../report/version.ts";
import type { CarriedSignals } from "../sensor/condemned.ts";
import type { ExecEvent, ProcessEvent, Sensor, SensorSource, SignalSink } from "../sensor/event.ts";
import type { LastResort, OpenedSensor } from "../sensor/open.ts";
import { SensorUnavailable } from "../sensor/unavailable.ts";
import type { SourceChoice } from "../vocabulary/sensors.ts";
import { needsEnvironment } from "../vocabulary/variables.ts";
import type { Epoch } from "./epoch.ts";
import { isAnyArmed, mayStop, wakeupPolicyOf } from "./wakeup-policy.ts";
import { WatchedNetwork } from "./watched-network.ts";

export interface EventSourceInputs {
  readonly config: Config;
  readonly poll: Poll;
  readonly token: number;
  readonly totals: Totals;
  readonly epoch: Epoch;
  /** Opens a sensor and subscribes. Throws if the host does not permit the choice. */
  readonly open: (choice: SourceChoice, lastResort?: LastResort) => OpenedSensor;
}

/** Which rules may act now. */
export interface WhatMayAct {
  readonly mayAct: boolean;
  readonly states: RuleStates;
}

export class EventSource implements Disposable {
  private readonly inputs: EventSourceInputs;
  private opened: OpenedSensor;
  /** As the metric of the source shows it. */
  enforcement: Enforcement;
  private watched = false;
  readonly watchedNetwork: WatchedNetwork;
  /** What was asked of which sensor; undefined before the first time. */
  private networkOf: { readonly sensor: Sensor; readonly key: string | undefined } | undefined;
  /** Why the network is not watched, although it should be. */
  networkProblem: string | undefined;
  /** Whether anything stands still, which the kernel must go on to see to whatever may act. */
  hasCondemned: () => boolean = () => false;
  /** Why the kernel does not signal what condemned processes fork and execute, although something may be killed. */
  carryProblem: string | undefined;
  private watchedPids: readonly number[] = [];
  private signals: SignalSink = { signal: () => undefined, lost: () => undefined };
  /** The sensor that failed, if another one took over. */
  replaced: SensorSource | undefined;

  constructor(inputs: EventSourceInputs) {
    this.inputs = inputs;
    this.enforcement = inputs.config.enforcement;
    this.watchedNetwork = new WatchedNetwork(inputs.config.network);
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

  /** The reason for the choice of this sensor, in words. */
  get why(): string {
    return this.opened.why;
  }

  /** See `Sensor.drain`. */
  drain(sink: (event: ProcessEvent) => void, onHandled: () => void): void {
    this.sensor.drain(sink, onHandled);
  }

  /** `on`: a live view is attached, so every exec must arrive soon. */
  watch(on: boolean): void {
    this.watched = on;
    this.sensor.live = on;
  }

  /** Reports signals to the processes `pids`, as far as the sensor can. */
  watchSignals(pids: readonly number[], sink: SignalSink): void {
    this.watchedPids = pids;
    this.signals = sink;
    this.sensor.watchSignals?.(pids, sink);
  }

  /** See `Sensor.findTampering`. */
  findTampering(): string | undefined {
    return this.sensor.findTampering?.();
  }

  settle(event: ExecEvent): void {
    this.sensor.settle?.(event);
  }

  /**
   * Has the sensor deliver what `policy` needs, and as early as what may act of it needs it. Returns whether execs can
   * be settled.
   */
  applyPolicy(policy: Policy, { mayAct, states }: WhatMayAct): boolean {
    this.sensor.readEnvironment?.(readsEnvironment(policy));
    const wakeup = wakeupPolicyOf(policy, mayAct ? states : undefined);
    this.sensor.setWakeupPolicy?.(wakeup);
    this.watchNetwork(policy);
    this.carrySignals(this.neededSignals(policy, mayAct ? states : undefined));
    return wakeup === "unsettled" && this.sensor.settle !== undefined;
  }

  /** Has the kernel signal what condemned processes fork and execute; see `Sensor.carrySignals`. */
  carrySignals(signals: CarriedSignals): void {
    this.carryProblem = undefined;
    try {
      this.sensor.carrySignals?.(signals);
    } catch (error) {
      this.carryProblem = `what a killed process forks is killed only when its fork is read: ${String(error)}`;
    }
  }

  /** `states`: undefined while nothing may act. Evidence is taken of processes that stand still. */
  private neededSignals(policy: Policy, states: RuleStates | undefined): CarriedSignals {
    if (this.hasCondemned()) return "both";
    if (states === undefined || !isAnyArmed(states)) return "none";
    return this.inputs.config.evidence.enabled || mayStop(policy, states) ? "both" : "SIGKILL";
  }

  /** `on`: children of processes that were killed may still be running, so events are read at once. */
  sweep(on: boolean): void {
    this.sensor.sweep?.(on);
  }

  /** Has the sensor watch what the configuration and `policy` ask for of the network. */
  private watchNetwork(policy: Policy): void {
    const { sensor } = this;
    const wanted = this.watchedNetwork.wantedBy(policy);
    const key = JSON.stringify(wanted);
    if (this.networkOf?.sensor === sensor && this.networkOf.key === key) return;
    this.networkOf = { sensor, key };
    this.networkProblem = undefined;
    try {
      sensor.watchNetwork?.(wanted);
      if (sensor.watchNetwork === undefined && wanted !== undefined)
        this.networkProblem = `the network is not watched: the source ${this.name} cannot see it`;
    } catch (error) {
      if (!(error instanceof SensorUnavailable)) throw error;
      this.networkProblem = `the network is not watched: ${error.message}${error.hint === undefined ? "" : `; ${error.hint}`}`;
    }
  }

  /** Another enforcement is in force: the metric that shows it follows. */
  setEnforcement(enforcement: Enforcement): void {
    const { totals } = this.inputs;
    totals.remove("info", { version, source: this.name, enforcement: this.enforcement });
    this.enforcement = enforcement;
    totals.gauge("info", { version, source: this.name, enforcement }).set(1);
  }

  /**
   * Replaces a sensor that failed for good with the next one that the host permits, and returns the source that failed.
   * Throws `failure` if the administrator chose the sensor, and an error if no other sensor can be opened.
   */
  replace(failure: unknown): SensorSource {
    const { source } = this.inputs.config;
    if (source !== "auto") throw failure;
    const failed = this.name;
    this.replaced = failed;
    this.inputs.poll.remove(this.sensor.fd);
    this.sensor[Symbol.dispose]();
    this.opened = this.inputs.open(source, { source: failed, reason: String(failure) });
    this.enter(failed);
    return failed;
  }

  [Symbol.dispose](): void {
    this.sensor[Symbol.dispose]();
  }

  private enter(previous: SensorSource | undefined): void {
    const { poll, token, totals, epoch } = this.inputs;
    const { enforcement } = this;
    poll.add(this.sensor.fd, token, EPOLLIN);
    this.sensor.live = this.watched;
    this.sensor.watchSignals?.(this.watchedPids, this.signals);
    this.sensor.setEpoch?.(epoch.current);
    if (previous !== undefined) totals.remove("info", { version, source: previous, enforcement });
    totals.gauge("info", { version, source: this.name, enforcement }).set(1);
  }
}

/** Whether any rule asks for the environment. Reading it costs something at each exec. */
function readsEnvironment({ rules }: Policy): boolean {
  return rules.some(({ read }) => [...read].some(needsEnvironment));
}
