// The reporter: an unprivileged process that receives the warden's records, stores them in the journal, and delivers
// them to the outputs. Nothing that it sends to the warden can change a decision.
import { join } from "node:path";
import { ownMemory, releaseMemory } from "../linux/own-memory.ts";
import { setProcessName } from "../linux/process.ts";
import { type Address, parseAddress } from "../linux/socket-address.ts";
import type { Timer } from "../linux/timerfd.ts";
import { createRedaction } from "../report/redact.ts";
import { recordUids } from "../report/stamp.ts";
import { entriesIn, type Request } from "../report/wire.ts";
import { HintedError, messageOf } from "../vocabulary/errors.ts";
import { certificateFiles, watchCertificates } from "./certificate-files.ts";
import type { CumulativeSeries, OwnSeries } from "./cumulative-totals.ts";
import { type Endpoint, type Health, openEndpoint } from "./endpoint.ts";
import { Exposition, type ExpositionFormat } from "./exposition.ts";
import { Journal, type JournalBounds } from "./journal.ts";
import { JOURNAL_FILE } from "./journal-reader.ts";
import { OUTAGE_FILE, OutageNote } from "./outage-note.ts";
import { OutputSet, ownSeriesOf } from "./output-set.ts";
import { outputKinds } from "./outputs.ts";
import { RateLimitedWarnings } from "./rate-limited-warnings.ts";
import { RecordIntake } from "./record-intake.ts";
import { ReporterCollection } from "./reporter-collection.ts";
import type { ReporterOptions } from "./reporter-options.ts";
import { PROBLEMS, ReporterProblems } from "./reporter-problems.ts";
import { ReporterState } from "./reporter-state.ts";
import { linkToWarden, type WardenLink } from "./warden-link.ts";
import { WardenQuestions } from "./warden-questions.ts";

export interface ReporterInputs {
  readonly options: ReporterOptions;
  /** An earlier reporter of this run has ended, perhaps in the middle of a line. */
  readonly followsAnother: boolean;
  /** The reporter's end of the socket pair to the warden. */
  readonly reportFd: number;
  /**
   * A timer of the supervisor's that must be set again and again to expire at this interval, ns; null without a
   * supervisor. The supervisor replaces a reporter that does not set it.
   */
  readonly deadMan: { readonly timer: Timer; readonly intervalNs: number } | null;
  /** Calls back when the supervisor orders a stop or has died. */
  readonly onStop: (stop: () => void) => void;
  /** Logs something that an administrator should know. */
  readonly warn: (message: string) => void;
}

/** What a taken address is called in the reporter's statement, and in the metric. */
const ENDPOINT = "endpoint";
/** Gauges that the reporter measures for each scrape. */
const journalBytes: OwnSeries = { instrument: "journalBytes", values: [] };
const exportBacklog: OwnSeries = { instrument: "exportBacklog", values: [] };
/** Besides the warden's, which says that a setting of the endpoint is wrong. */
const endpointDisabled: OwnSeries = { instrument: "outputDisabled", values: [ENDPOINT] };

/** The share of the watchdog's interval after which it is set again, so that it does not expire in between. */
const HEARTBEAT_SHARE = 0.75;
/** The time that a scrape waits for the newest totals: a warden under load sends them once a second anyway. */
const FRESH_MS = 50;
/** The longest time between two prunings of the journal. */
const PRUNE_MS = 3_600_000;
/** When the link is closed: the time in which an order to stop arrives if the whole run ends. */
const ORDER_MS = 100;
/** At shutdown: the longest time to read what the warden has sent. */
const LAST_READ_MS = 800;
/** The time for the last deliveries at shutdown. The supervisor waits two seconds for the whole run. */
const LAST_DELIVERY_MS = 400;

/**
 * Runs until a stop is ordered. Rejects with a ReporterRefused if the journal cannot be used, and with a LinkClosed if
 * the socket to the warden was closed before.
 */
export async function runReporter(inputs: ReporterInputs): Promise<void> {
  setProcessName("tw-reporter");
  await new Reporter(inputs).run();
}

class Reporter {
  private readonly inputs: ReporterInputs;
  private readonly warnings: RateLimitedWarnings;
  private readonly journal: Journal;
  private readonly problems: ReporterProblems;
  private readonly note: OutageNote;
  private readonly state: ReporterState;
  private readonly questions = new WardenQuestions((request) => this.send(request));
  private link: WardenLink | undefined;
  private intake: RecordIntake | undefined;
  private readonly exposition: Exposition;
  private outputs: OutputSet | undefined;
  private collection: ReporterCollection | undefined;

  constructor(inputs: ReporterInputs) {
    this.inputs = inputs;
    const { config, run } = inputs.options;
    this.warnings = new RateLimitedWarnings(inputs.warn);
    this.exposition = new Exposition(config.metrics.names, (length) => this.collection?.formatted(length));
    this.journal = openJournal(join(config.state_directory, JOURNAL_FILE), {
      maxAgeMs: config.journal.max_days * 86_400_000,
      maxBytes: config.journal.max_megabytes * 1e6,
    });
    this.warnOfQuarantine();
    this.problems = new ReporterProblems((text) => this.storeProblems(text));
    this.note = new OutageNote(join(config.state_directory, OUTAGE_FILE));
    this.state = new ReporterState({
      journal: this.journal,
      note: this.note,
      run,
      ownSeries: [...ownSeriesOf(outputKinds), journalBytes, exportBacklog, endpointDisabled],
      uid: recordUids(crypto.getRandomValues(new Uint8Array(5))),
      onJournalError: (error) => this.onJournalError(error),
    });
  }

  async run(): Promise<void> {
    const { options, onStop, reportFd } = this.inputs;
    const stopped = new Promise<"stopped">((resolve) => onStop(() => resolve("stopped")));
    const closed = Promise.withResolvers<"closed">();
    const journalBack = Promise.withResolvers<"journal back">();
    const renewal = Promise.withResolvers<"renewal">();
    using resources = new DisposableStack();
    resources.use(this.journal);
    resources.use(this.note);
    resources.use(this.startHeartbeat());
    resources.use(watchCertificates(certificateFiles(options.otlp), () => renewal.resolve("renewal")));
    const address = parseAddress(options.config.metrics.listen);
    if (address !== undefined) {
      const endpoint = this.listen(address);
      resources.defer(() => endpoint.stop());
    }
    const redact = createRedaction(options.config.arguments.report, options.config.arguments.redact);
    const outputs = await this.openOutputs(redact);
    this.outputs = outputs;
    const intake = new RecordIntake({
      run: options.run,
      journal: this.journal,
      state: this.state,
      outputs,
      redact,
      send: (request) => this.send(request),
      onPong: (pong) => this.questions.onPong(pong),
      onJournalBack: () => journalBack.resolve("journal back"),
      onJournalError: (error) => this.onJournalError(error),
    });
    this.intake = intake;
    const link = await linkToWarden(
      reportFd,
      (frame) => {
        this.collection?.received(entriesIn(frame));
        intake.take(frame);
      },
      () => closed.resolve("closed"),
    );
    resources.defer(() => link.close());
    this.link = link;
    intake.start();
    this.prune(outputs);
    const prune = setInterval(() => this.prune(outputs), PRUNE_MS);
    // A journal that could not be opened at the start, on a full disk, is soon noticed.
    if (!this.journal.isWritable) this.onJournalError(this.journal.failure);
    await releaseMemory();
    this.collection = resources.use(new ReporterCollection(ownMemory));
    const end = await Promise.race([stopped, closed.promise, journalBack.promise, renewal.promise]);
    if (end === "journal back") this.inputs.warn("the journal can be opened now: starting again with it");
    if (end === "renewal") this.inputs.warn("certificates have changed: starting again with them");
    // When the supervisor dies without a standby, both sockets close, in any order.
    if (end === "closed" && (await Promise.race([stopped, Bun.sleep(ORDER_MS)])) !== "stopped")
      throw new LinkClosed("the link to the warden was closed");
    clearInterval(prune);
    outputs.prepareEnd();
    await untilRead(link);
    intake.end();
    this.state.exposedSeries();
    await outputs.end(LAST_DELIVERY_MS);
    this.link = undefined;
  }

  private openOutputs(redact: ReturnType<typeof createRedaction>): Promise<OutputSet> {
    const { options, warn } = this.inputs;
    const { since, totals } = this.state;
    return OutputSet.open({
      kinds: outputKinds,
      context: {
        options,
        startedMs: since,
        inForce: () => this.state.inForce(),
        followsAnother: this.inputs.followsAnother,
        warn,
      },
      journal: this.journal,
      redact,
      series: () => this.freshSeries(),
      warnings: this.warnings,
      problems: this.problems,
      count: (series, n) => totals.add(series, n),
      onJournalError: (error) => this.onJournalError(error),
      lossRecord: (loss) => this.state.lossRecord(loss),
      onLossRecord: (record) => this.intake?.takeOwn(record),
    });
  }

  private listen(address: Address): Endpoint {
    const inputs = {
      metrics: async (format: ExpositionFormat, isCompressed: boolean) => {
        const series = await this.freshSeries();
        if (isCompressed) return await this.exposition.compress(series, format);
        return this.exposition.format(series, format);
      },
      health: () => this.health(),
      onProblem: (why: string | undefined) =>
        why === undefined ? this.problems.end(ENDPOINT) : this.problems.begin(ENDPOINT, why),
      security: this.inputs.options.endpointSecurity,
    };
    return openEndpoint(address, inputs, this.inputs.warn);
  }

  private startHeartbeat(): Disposable {
    const { deadMan } = this.inputs;
    if (deadMan === null) return { [Symbol.dispose]: () => undefined };
    const { timer, intervalNs } = deadMan;
    const heartbeat = setInterval(() => timer.armEvery(intervalNs), (intervalNs / 1e6) * HEARTBEAT_SHARE);
    return { [Symbol.dispose]: () => clearInterval(heartbeat) };
  }

  private async health(): Promise<Health> {
    const health = await this.questions.ask();
    if (this.journal.isWritable) return health;
    return { ...health, alive: false, reason: "the journal cannot be written" };
  }

  /** The current values of all series, or the last known ones if the warden does not answer. */
  private async freshSeries(): Promise<readonly CumulativeSeries[]> {
    await this.questions.ask(FRESH_MS);
    this.state.totals.set(journalBytes, this.journal.bytes());
    this.state.totals.set(exportBacklog, this.outputs?.backlogOf("logs") ?? 0);
    this.state.totals.set(endpointDisabled, this.problems.has(ENDPOINT) ? 1 : 0);
    return this.state.exposedSeries();
  }

  private send(request: Request): void {
    this.link?.send(request);
  }

  private prune(outputs: OutputSet): void {
    try {
      outputs.prune();
    } catch (error) {
      this.onJournalError(error);
    }
  }

  private onJournalError(error: unknown): void {
    const why = messageOf(error);
    this.warnings.about("journal", `cannot use the journal: ${why}`);
    if (this.journal.replaceIfBroken(error)) this.warnOfQuarantine();
    this.intake?.retrySoon();
  }

  /** A statement that cannot be stored, on a full disk say, stops nothing. */
  private storeProblems(text: string): void {
    try {
      this.journal.remember({ [PROBLEMS]: text });
    } catch (error) {
      this.warnings.about("journal", `cannot use the journal: ${messageOf(error)}`);
    }
  }

  private warnOfQuarantine(): void {
    const { quarantine } = this.journal;
    if (quarantine === undefined) return;
    this.inputs.warn(`the journal was broken: a new one is begun, the old one is ${quarantine}`);
  }
}

/** Waits until everything that the warden has sent was read. When the supervisor orders a stop, the warden has ended. */
async function untilRead(link: WardenLink): Promise<void> {
  const end = performance.now() + LAST_READ_MS;
  // The runtime reads between two of its timers.
  while (link.hasUnread && performance.now() < end) await Bun.sleep(1);
}

/** An error that an administrator can fix. */
export class ReporterRefused extends HintedError {
  override readonly name = "ReporterRefused";
}

/** Without its link a reporter can do nothing; the supervisor starts another with a new one. */
export class LinkClosed extends Error {
  override readonly name = "LinkClosed";
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
