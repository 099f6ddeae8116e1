// treewarden, a Collector, and between them a hop that a test can break.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Alerts } from "../collector/alerts.ts";
import { type Certificates, createCertificates } from "../collector/certificates.ts";
import { type Comparison, compare } from "../collector/comparison.ts";
import { Hop } from "../collector/hop.ts";
import { Otelcol } from "../collector/otelcol.ts";
import { SmallDisk } from "./small-disk.ts";
import { Running, until } from "./treewarden.ts";

/** Alerts for each fault. */
export const ALERTS = 30;
export const RATE = 200;

export class TelemetryScene implements AsyncDisposable {
  readonly disk: SmallDisk;
  readonly alerts: Alerts;
  readonly certificates: Certificates;
  readonly collector: Otelcol;
  readonly hop: Hop;
  private treewarden: Running | undefined;

  constructor(diskMegabytes = 32) {
    this.disk = new SmallDisk(diskMegabytes);
    this.alerts = new Alerts(this.disk.folder);
    const folder = join(this.disk.folder, "collector");
    mkdirSync(folder);
    this.certificates = createCertificates(folder);
    this.collector = new Otelcol(folder);
    this.hop = new Hop(this.collector.endpoint);
  }

  async start(): Promise<void> {
    await this.collector.start();
    await this.hop.open(this.certificates.good);
    this.treewarden = await Running.start(["--policy", this.alerts.policy, "--state-dir", this.disk.state], {
      OTEL_EXPORTER_OTLP_ENDPOINT: this.hop.endpoint,
      OTEL_EXPORTER_OTLP_CERTIFICATE: this.certificates.authority,
      OTEL_EXPORTER_OTLP_TIMEOUT: "1000",
      OTEL_BLRP_SCHEDULE_DELAY: "20",
    });
  }

  get running(): Running {
    if (this.treewarden === undefined) throw new Error("treewarden does not run");
    return this.treewarden;
  }

  get journal(): string {
    return join(this.disk.state, "report/journal.sqlite");
  }

  compare(): Comparison {
    return compare(this.journal, this.collector.logs());
  }

  /** Every alert is in the journal, and has arrived or was rejected for good. */
  async delivered(ms = 20_000): Promise<void> {
    const isDelivered = (): boolean => {
      const { journaled, missing } = this.compare();
      return journaled === this.alerts.started && missing.every((uid) => this.hop.rejected.has(uid));
    };
    await until("everything has arrived", isDelivered, ms);
  }

  /** Alerts while it is broken, then it is mended, and everything arrives. */
  async during(broken: () => Promise<void>, mend: () => Promise<void> | void): Promise<void> {
    await this.alerts.different(ALERTS, RATE);
    await broken();
    await mend();
    await this.delivered();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.treewarden?.[Symbol.asyncDispose]();
    await this.hop[Symbol.asyncDispose]();
    await this.collector[Symbol.asyncDispose]();
    this.disk[Symbol.dispose]();
  }
}
