// The reporter: takes what the warden sends, writes it down, shows it, and passes it on. It decides nothing, and what
// it says to the warden changes no decision.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setProcessName } from "../linux/process.ts";
import { type Address, parseAddress } from "../linux/socket-address.ts";
import type { EventRecord } from "../report/event-record.ts";
import { prettyLine } from "../report/pretty.ts";
import { createRedaction } from "../report/redact.ts";
import { recordUids } from "../report/stamp.ts";
import type { Frame, Hello, Pong, ReliableEvents } from "../report/wire.ts";
import { HintedError, messageOf } from "../vocabulary/errors.ts";
import { type Health, serveEndpoint } from "./endpoint.ts";
import { expose } from "./exposition.ts";
import { Journal, type JournalBounds } from "./journal.ts";
import { JOURNAL_FILE } from "./journal-reader.ts";
import { isLearned } from "./learned-rows.ts";
import { MailOutput } from "./mail-output.ts";
import { OtlpOutput } from "./otlp-output.ts";
import { otlpSettings } from "./otlp-settings.ts";
import type { ReporterOptions } from "./reporter-options.ts";
import { ReporterState } from "./reporter-state.ts";
import { sendMail } from "./sendmail.ts";
import { StandardOutput } from "./standard-output.ts";
import { linkToWarden, type WardenLink } from "./warden-link.ts";

export interface ReporterInputs {
  readonly options: ReporterOptions;
  readonly reportFd: number;
  /** Calls back when the supervisor says stop, or is gone. */
  readonly onStop: (stop: () => void) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Tells a person. */
  readonly warn: (message: string) => void;
}

/** How long whoever asks for health waits for the warden's word. */
const HEALTH_MS = 1_000;
/** How long a scrape waits for what is newest. */
const FRESH_MS = 200;
/** Garbage of scrapes is collected this long after the first of them. */
const TIDY_MS = 250;
/** Old records go at least this often. */
const PRUNE_MS = 3_600_000;
/** The same complaint is told this often at most. */
const QUIET_MS = 60_000;
/** After the journal refused, the warden is asked for the same records again this much later. */
const AGAIN_MS = 1_000;
/** At the end: quiet on the wire for this long means that the warden has said everything; and no longer than this. */
const SILENCE_MS = 100;
const LONGEST_END_MS = 800;
/** How long the last export may take: the supervisor waits for the whole run's end two seconds. */
const LAST_EXPORT_MS = 400;

/** Runs until it is told to stop. Throws a ReporterRefused if the journal or the endpoint's address cannot be had. */
export async function runReporter(inputs: ReporterInputs): Promise<void> {
  const reporter = new Reporter(inputs);
  await reporter.run();
}

class Reporter {
  private readonly inputs: ReporterInputs;
  private readonly journal: Journal;
  private readonly state: ReporterState;
  private readonly output = new StandardOutput(() => this.state.ledger.add("queueDropped", ["stdout"], 1));
  private readonly redact: (record: EventRecord) => EventRecord;
  private link: WardenLink | undefined;
  private exporting: OtlpOutput | undefined;
  private mailing: MailOutput | undefined;

  /**
   * A hello was read, so what follows is whole. Before it stand packets whose predecessors a dead reporter took with
   * it: they will be sent again.
   */
  private greeted = false;
  /** The last numbered record that was shown; more than what is in the journal while that refuses. */
  private shown = 0;
  private lastFrame = 0;
  /** The journal is being synced; what is written meanwhile comes after. */
  private syncing = false;
  private tidy: ReturnType<typeof setTimeout> | undefined;
  private pings = 0;
  private ping: Promise<Health> | undefined;
  private readonly waiting = new Map<number, (pong: Pong) => void>();
  private readonly quietUntil = new Map<string, number>();

  constructor(inputs: ReporterInputs) {
    this.inputs = inputs;
    setProcessName("tw-reporter");
    const { config, run } = inputs.options;
    this.redact = createRedaction(config.arguments.report, config.arguments.redact);
    this.journal = openJournal(join(config.state_directory, JOURNAL_FILE), {
      maxAgeMs: config.journal.max_days * 86_400_000,
      maxBytes: config.journal.max_megabytes * 1e6,
    });
    this.tellPutAside();
    const uid = recordUids(crypto.getRandomValues(new Uint8Array(5)));
    this.state = new ReporterState(this.journal, run, uid, (error) => this.journalRefused(error));
    this.shown = this.state.last ?? 0;
    // One that was killed may have left half a line: the next one is to stand alone.
    if (this.state.generation !== undefined && inputs.options.output !== "none") this.output.write("\n");
  }

  async run(): Promise<void> {
    const { options } = this.inputs;
    const stopped = new Promise<void>((resolve) => this.inputs.onStop(resolve));
    const address = parseAddress(options.config.metrics.listen);
    using server = new DisposableStack();
    if (address !== undefined) {
      const endpoint = this.listen(address);
      server.defer(() => void endpoint.stop(true));
    }
    await this.startExporting();
    this.startMailing();
    const link = await linkToWarden(
      this.inputs.reportFd,
      (frame) => this.take(frame),
      () => undefined,
    );
    this.link = link;
    this.sayReady();
    this.prune();
    const prune = setInterval(() => this.prune(), PRUNE_MS);
    await stopped;
    clearInterval(prune);
    clearTimeout(this.tidy);
    this.mailing?.end();
    await this.finish();
    this.link = undefined;
    link.close();
    this.journal[Symbol.dispose]();
  }

  private listen(address: Address): ReturnType<typeof serveEndpoint> {
    try {
      return serveEndpoint(address, {
        metrics: async (format) => {
          // The answer comes behind all totals as of now; without one the last that were told have to do.
          await this.ask(FRESH_MS);
          this.tidyLater();
          return expose(this.state.shownSeries(), format);
        },
        health: () => this.ask(HEALTH_MS),
      });
    } catch (error) {
      const why = messageOf(error);
      const hint = "choose another address with --listen, or off; is another treewarden running?";
      throw new ReporterRefused(`cannot listen on ${address.host}:${address.port}: ${why}`, hint);
    }
  }

  /** A scrape of 1,000 trees leaves some 3 MB of text, which the runtime would gather to 40 MB before it looked. */
  private tidyLater(): void {
    this.tidy ??= setTimeout(() => {
      this.tidy = undefined;
      Bun.gc(true);
    }, TIDY_MS);
  }

  private async startExporting(): Promise<void> {
    const { options, environment } = this.inputs;
    const settings = otlpSettings(options.config.otlp, environment, (message) => this.inputs.warn(message));
    if (settings === undefined) return;
    const { OtlpExporters } = await import("./otlp-exporters.ts");
    const resource = { hostId: machineId(), hostName: hostname(), instanceId: options.run };
    this.exporting = new OtlpOutput({
      otlp: new OtlpExporters(settings, resource, this.state.since),
      journal: this.journal,
      series: async () => {
        await this.ask(FRESH_MS);
        this.tidyLater();
        return this.state.shownSeries();
      },
      redact: this.redact,
      intervalMs: settings.intervalMs,
      onFailure: (signal, why) => {
        this.state.ledger.add("exportFailures", [signal], 1);
        this.complain(signal, `cannot export ${signal} over OTLP: ${why}`);
      },
      onDrop: (count) => this.state.ledger.add("queueDropped", ["export"], count),
    });
  }

  private startMailing(): void {
    const { mail, arguments: args } = this.inputs.options.config;
    if (mail.to.length === 0) return;
    this.mailing = new MailOutput({
      journal: this.journal,
      to: mail.to,
      host: hostname(),
      roles: () => this.state.rolesInForce(),
      intervalMs: mail.every_minutes * 60_000,
      // A mail is kept by many: no setting lets secrets into it.
      redact: createRedaction(args.report === "off" ? "off" : "redacted", args.redact),
      send: sendMail,
      onFailure: (why) => {
        this.state.ledger.add("exportFailures", ["mail"], 1);
        this.complain("mail", `cannot send mail: ${why}`);
      },
    });
  }

  private sayReady(): void {
    const { generation, last } = this.state;
    this.link?.send({ type: "ready", generation: generation ?? 0, last: last ?? 0 });
    this.sayWatch();
  }

  private sayWatch(): void {
    const { output, config } = this.inputs.options;
    if (output === "pretty" || config.events === "all") this.link?.send({ type: "watch", on: true });
  }

  private take(frame: Frame): void {
    this.lastFrame = performance.now();
    if (frame.type === "hello") this.hear(frame);
    if (!this.greeted) return;
    switch (frame.type) {
      case "events":
        this.record(frame);
        return;
      case "plain":
        for (const each of frame.records) {
          const record = this.redact(each);
          this.show(record);
          if (this.inputs.options.config.events === "all") this.exporting?.addBestEffort(record);
        }
        return;
      case "totals":
        if (frame.generation === this.state.generation) this.state.ledger.apply(frame.changed, frame.whole);
        return;
      case "pong":
        this.waiting.get(frame.id)?.(frame);
        return;
    }
  }

  private hear(hello: Hello): void {
    if (hello.run !== this.inputs.options.run) return;
    const isFirst = !this.greeted;
    this.greeted = true;
    if (!this.state.onHello(hello.generation)) return;
    this.shown = 0;
    // A warden that was started while this reporter was there has not been told that it is watched.
    if (!isFirst) this.sayWatch();
  }

  /** Numbered records: written down, then acknowledged; shown once, even if they cannot be written down. */
  private record(frame: ReliableEvents): void {
    if (frame.generation !== this.state.generation) return;
    const records = frame.records.map(this.redact);
    const entered = this.state.enter(frame.first, records);
    if (entered === undefined) return;
    if (entered.gap !== undefined) this.show(entered.gap);
    records.forEach((record, i) => {
      if (frame.first + i > this.shown) this.show(record);
    });
    this.shown = Math.max(this.shown, frame.first + records.length - 1);
    if (!entered.written) {
      this.greeted = false;
      setTimeout(() => this.sayReady(), AGAIN_MS);
      return;
    }
    void this.acknowledge();
    this.exporting?.wake();
    this.mailing?.wrote(records);
    if (this.journal.wantsPrune) this.prune();
  }

  /** Acknowledges what is in the journal, when it is durable. */
  private async acknowledge(): Promise<void> {
    if (this.syncing) return;
    this.syncing = true;
    try {
      for (let done = false; !done; ) {
        const { generation, last } = this.state;
        if (generation === undefined || last === undefined) break;
        await this.journal.sync();
        this.link?.send({ type: "ack", generation, n: last });
        done = generation === this.state.generation && last === this.state.last;
      }
    } catch (error) {
      this.journalRefused(error);
      setTimeout(() => void this.acknowledge(), AGAIN_MS);
    } finally {
      this.syncing = false;
    }
  }

  private show(record: EventRecord): void {
    const { output, colour } = this.inputs.options;
    if (output === "none" || isLearned(record)) return;
    if (output === "json") this.output.write(`${JSON.stringify(record)}\n`);
    else if (isForLiveView(record)) this.output.write(prettyLine(record, colour));
  }

  /** Asks the warden how it is; whoever asks while a question is out shares its answer. */
  private async ask(ms: number): Promise<Health> {
    this.ping ??= this.sendPing().finally(() => {
      this.ping = undefined;
    });
    const silence = Bun.sleep(ms).then(() => ({ alive: false, reason: "the warden does not answer" }));
    return await Promise.race([this.ping, silence]);
  }

  private sendPing(): Promise<Health> {
    this.pings += 1;
    const id = this.pings;
    return new Promise((resolve) => {
      const answer = (health: Health): void => {
        clearTimeout(timer);
        this.waiting.delete(id);
        resolve(health);
      };
      const timer = setTimeout(
        () => answer({ alive: false, reason: "the warden does not answer" }),
        HEALTH_MS,
      );
      this.waiting.set(id, ({ alive, reason }) => answer({ alive, reason }));
      this.link?.send({ type: "ping", id });
    });
  }

  private prune(): void {
    try {
      const exported = this.exporting?.exported ?? Number.MAX_SAFE_INTEGER;
      const { unexported } = this.journal.prune(Date.now(), exported);
      if (unexported > 0) this.state.ledger.add("queueDropped", ["export"], unexported);
    } catch (error) {
      this.journalRefused(error);
    }
  }

  private journalRefused(error: unknown): void {
    const why = messageOf(error);
    this.complain("journal", `cannot write the journal: ${why}`);
    if (this.journal.replaceIfBroken(error)) this.tellPutAside();
  }

  private tellPutAside(): void {
    const { quarantine } = this.journal;
    if (quarantine === undefined) return;
    this.inputs.warn(`the journal was broken: a new one is begun, the old one is ${quarantine}`);
  }

  private complain(about: string, message: string): void {
    const now = performance.now();
    if (now < (this.quietUntil.get(about) ?? 0)) return;
    this.quietUntil.set(about, now + QUIET_MS);
    this.inputs.warn(message);
  }

  private async finish(): Promise<void> {
    // The warden has ended before; what it sent is read to its end.
    const end = performance.now() + LONGEST_END_MS;
    while (performance.now() - this.lastFrame < SILENCE_MS && performance.now() < end) {
      await Bun.sleep(SILENCE_MS / 4);
    }
    this.state.shownSeries();
    if (this.exporting !== undefined) await Promise.race([this.exporting.end(), Bun.sleep(LAST_EXPORT_MS)]);
    this.output.flush();
  }
}

/** A reason that an administrator can do something about. */
export class ReporterRefused extends HintedError {
  override readonly name = "ReporterRefused";
}

function openJournal(path: string, bounds: JournalBounds): Journal {
  try {
    return new Journal(path, bounds);
  } catch (error) {
    const why = messageOf(error);
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

/** A person who watches sees what starts; its end, and that its tree is new, would be a second line for the same program. */
function isForLiveView(record: EventRecord): boolean {
  const name = record["event.name"];
  return name !== "process.exit" && (name !== "tree.new" || record["sensor.source"] === "procfs");
}
