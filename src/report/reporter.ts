// The reporter: takes what the warden sends, writes it down, shows it, and passes it on. It decides nothing, and what
// it says to the warden changes no decision.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Address, parseAddress } from "../config/config.ts";
import { setProcessName } from "../linux/process.ts";
import { type Health, serveEndpoint } from "./endpoint.ts";
import { Exporting } from "./exporting.ts";
import { expose } from "./exposition.ts";
import { Journal, type JournalBounds } from "./journal.ts";
import { Ledger } from "./ledger.ts";
import type { ReporterOptions } from "./options.ts";
import { otlpSettings } from "./otlp-settings.ts";
import { prettyLine } from "./pretty.ts";
import type { EventRecord } from "./record.ts";
import { createRedaction } from "./redact.ts";
import { recordUids, timestamp } from "./stamp.ts";
import { StandardOutput } from "./stdout.ts";
import { linkToWarden, type WardenLink } from "./wardenlink.ts";
import type { Events, Frame, Hello } from "./wire.ts";

export interface ReporterInputs {
  readonly options: ReporterOptions;
  readonly reportFd: number;
  /** Calls back when the supervisor says stop, or is gone. */
  readonly onStop: (stop: () => void) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Tells a person. */
  readonly warn: (message: string) => void;
}

export const JOURNAL_FILE = "report/journal.sqlite";

const HEALTH_MS = 1_000;
/** How long a scrape waits for what is newest. */
const FRESH_MS = 200;
const PRUNE_MS = 60_000;
/** A failing export is told this often at most. */
const QUIET_MS = 60_000;
/** At the end: quiet on the wire for this long means that the warden has said everything. */
const SILENCE_MS = 100;
/** How long the last export may take: the supervisor waits for the whole run's end two seconds. */
const LAST_EXPORT_MS = 400;

/** Runs until it is told to stop. Throws if the journal or the endpoint's address cannot be had. */
export async function runReporter(inputs: ReporterInputs): Promise<void> {
  const reporter = new Reporter(inputs);
  await reporter.run();
}

class Reporter {
  private readonly inputs: ReporterInputs;
  private readonly journal: Journal;
  private readonly ledger = new Ledger();
  private readonly output = new StandardOutput(() => this.dropped("stdout"));
  private readonly redact: (record: EventRecord) => EventRecord;
  private readonly uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  private link: WardenLink | undefined;
  private exporting: Exporting | undefined;

  private generation: number | undefined;
  private last = 0;
  private lastFrame = 0;
  private pings = 0;
  private readonly waiting = new Map<number, (health: Health) => void>();
  private quietUntil = 0;

  constructor(inputs: ReporterInputs) {
    this.inputs = inputs;
    setProcessName("tw-reporter");
    const { config, run } = inputs.options;
    const bounds = {
      maxAgeMs: config.journal.max_days * 86_400_000,
      maxBytes: config.journal.max_megabytes * 1e6,
    };
    this.journal = openJournal(join(config.state_directory, JOURNAL_FILE), bounds);
    this.redact = createRedaction(config.arguments.report, config.arguments.redact);
    this.generation = this.journal.latestGeneration(run);
    if (this.generation !== undefined) this.last = this.journal.last(run, this.generation);
    this.restoreLedger();
  }

  async run(): Promise<void> {
    const { options, environment } = this.inputs;
    const { config } = options;
    const stopped = new Promise<void>((resolve) => this.inputs.onStop(resolve));
    const address = parseAddress(config.metrics.listen);
    using server = new DisposableStack();
    if (address !== undefined) {
      const endpoint = this.listen(address);
      server.defer(() => void endpoint.stop(true));
    }
    const settings = otlpSettings(config.otlp, environment);
    if (settings !== undefined) {
      const { Otlp } = await import("./otlp.ts");
      this.exporting = new Exporting({
        otlp: new Otlp(
          settings,
          { hostId: machineId(), hostName: hostname(), instanceId: options.run },
          Date.now(),
        ),
        journal: this.journal,
        series: () => this.ledger.series(Date.now()),
        redact: this.redact,
        intervalMs: settings.intervalMs,
        onFailure: (signal, why) => this.exportFailed(signal, why),
        onDrop: () => this.dropped("export"),
      });
    }
    const link = await linkToWarden(
      this.inputs.reportFd,
      (frame) => this.take(frame),
      () => undefined,
    );
    this.link = link;
    link.send({ type: "ready", generation: this.generation ?? 0, last: this.last });
    if (options.output === "pretty" || config.events === "all") link.send({ type: "watch", on: true });
    const prune = setInterval(() => this.prune(), PRUNE_MS);
    await stopped;
    clearInterval(prune);
    await this.finish();
    link.close();
    this.journal[Symbol.dispose]();
  }

  private listen(address: Address): ReturnType<typeof serveEndpoint> {
    try {
      return serveEndpoint(address, {
        metrics: async (format) => {
          // The answer comes behind all totals as of now; without one the last that were told have to do.
          await this.ask(FRESH_MS);
          return expose(this.ledger.series(Date.now()), format);
        },
        health: () => this.ask(HEALTH_MS),
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const hint = "choose another address with --listen, or off; is another treewarden running?";
      throw new ReporterRefused(`cannot listen on ${address.host}:${address.port}: ${why}`, hint);
    }
  }

  private take(frame: Frame): void {
    this.lastFrame = performance.now();
    switch (frame.type) {
      case "hello":
        this.greeted(frame);
        return;
      case "events":
        this.record(frame);
        return;
      case "plain":
        for (const record of frame.records) {
          this.show(record);
          if (this.inputs.options.config.events === "all") this.exporting?.addPlain(record);
        }
        return;
      case "totals":
        if (frame.generation === this.generation) this.ledger.apply(frame.changed, frame.whole);
        return;
      case "pong":
        this.waiting.get(frame.id)?.({ alive: frame.alive, reason: frame.reason });
        this.waiting.delete(frame.id);
        return;
    }
  }

  private greeted(hello: Hello): void {
    if (hello.run !== this.inputs.options.run) return;
    const isNew = this.generation !== undefined && hello.generation > this.generation;
    this.ledger.greeted(isNew, Date.now());
    if (isNew) this.saveLedger();
    if (this.generation === undefined || isNew) {
      this.generation = hello.generation;
      this.last = this.journal.last(hello.run, hello.generation);
      // A warden that was started while this reporter was there has not been told that it is watched.
      const { output, config } = this.inputs.options;
      if (output === "pretty" || config.events === "all") this.link?.send({ type: "watch", on: true });
    }
  }

  /** Numbered records: written down, then acknowledged, then shown. */
  private record(frame: Events): void {
    const { run } = this.inputs.options;
    if (frame.generation !== this.generation) return;
    const known = Math.max(0, this.last + 1 - frame.first);
    const records = frame.records.slice(known);
    if (records.length > 0) {
      const first = frame.first + known;
      const missing = first - this.last - 1;
      this.journal.append(run, frame.generation, first, records);
      this.last = first + records.length - 1;
      if (missing > 0) this.tellGap(first - missing, missing);
      for (const record of records) this.show(record);
      this.exporting?.wake();
    }
    this.link?.send({ type: "ack", generation: frame.generation, n: this.last });
  }

  /** The warden had no room for records `first` and those after it: said in their place, under the first one's number. */
  private tellGap(first: number, missing: number): void {
    const now = Date.now() * 1e6;
    const record: EventRecord = {
      timestamp: timestamp(now),
      "event.name": "report.gap",
      "log.record.uid": this.uid(now),
      "report.missing": missing,
    };
    this.journal.append(this.inputs.options.run, this.generation ?? 0, first, [record]);
    this.show(record);
  }

  private show(record: EventRecord): void {
    const { output, colour } = this.inputs.options;
    if (output === "none") return;
    const safe = this.redact(record);
    this.output.write(output === "json" ? `${JSON.stringify(safe)}\n` : prettyLine(safe, colour));
  }

  /** Asks the warden how it is; says that it does not answer if it does not within `ms`. */
  private ask(ms: number): Promise<Health> {
    this.pings += 1;
    const id = this.pings;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve({ alive: false, reason: "the warden does not answer" });
      }, ms);
      this.waiting.set(id, (health) => {
        clearTimeout(timer);
        resolve(health);
      });
      this.link?.send({ type: "ping", id });
    });
  }

  private prune(): void {
    const exported = this.exporting?.exported ?? Number.MAX_SAFE_INTEGER;
    const { unexported } = this.journal.prune(Date.now(), exported);
    for (let i = 0; i < unexported; i++) this.dropped("export");
  }

  private async finish(): Promise<void> {
    // The warden has ended before; what it sent is read to its end.
    while (performance.now() - this.lastFrame < SILENCE_MS) await Bun.sleep(SILENCE_MS / 4);
    this.saveLedger();
    if (this.exporting !== undefined) await Promise.race([this.exporting.end(), Bun.sleep(LAST_EXPORT_MS)]);
    this.output.flush();
  }

  private dropped(queue: "stdout" | "export"): void {
    this.ledger.addOwn("queueDropped", [queue], 1);
  }

  private exportFailed(signal: "logs" | "metrics", why: string): void {
    this.ledger.addOwn("exportFailures", [signal], 1);
    if (performance.now() < this.quietUntil) return;
    this.quietUntil = performance.now() + QUIET_MS;
    this.inputs.warn(`cannot export ${signal} over OTLP: ${why}`);
  }

  private saveLedger(): void {
    this.journal.remember(
      "ledger",
      JSON.stringify({ run: this.inputs.options.run, base: this.ledger.save() }),
    );
  }

  private restoreLedger(): void {
    try {
      const saved: unknown = JSON.parse(this.journal.recall("ledger") ?? "null");
      if (typeof saved !== "object" || saved === null || !("run" in saved && "base" in saved)) return;
      // Another run begins at 0, as every process's counters do.
      if (saved.run === this.inputs.options.run && typeof saved.base === "string")
        this.ledger.restore(saved.base);
    } catch {
      // Not readable: counters begin at 0, which every reader of counters can bear.
    }
  }
}

/** A reason that an administrator can do something about. */
export class ReporterRefused extends Error {
  override readonly name = "ReporterRefused";
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

function openJournal(path: string, bounds: JournalBounds): Journal {
  try {
    return new Journal(path, bounds);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const hint = `user ${process.geteuid?.()} must be able to reach and write the folder: is every folder above it open to others (chmod o+x)?`;
    throw new ReporterRefused(`cannot open the journal ${path}: ${why}`, hint);
  }
}

/** machine-id(5); OpenTelemetry allows no other source of host.id without asking. */
function machineId(): string | undefined {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "latin1").trim();
      if (/^[0-9a-f]{32}$/.test(id)) return id;
    } catch {
      // The other one, perhaps.
    }
  }
  return undefined;
}
