// Keeps the journal's chain across restarts: its key, and its last record.
import { join } from "node:path";
import * as v from "valibot";
import { monotonicNow } from "../linux/clock.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { EventRecord } from "../report/event-record.ts";
import { type ChainLink, type ChainOrigin, JournalChain } from "../report/journal-chain.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import { type WriteFile, writeNow } from "./atomic-file-writer.ts";
import { newSecretKey, readSecretKey } from "./secret-key.ts";

/** The key of the seals: written by the warden and read by commands. Only root can read it. */
export const CHAIN_KEY = "journal-chain/key";
/** The last record of the chain: written by the warden, read by the next one and by commands. */
const CHAIN_HEAD = "journal-chain/head.json";
/** In bytes; far more than a head takes. */
const HEAD_LIMIT = 4_096;
/** The shortest time between two saves, ns. Records of a killed warden that are newer can be removed unseen. */
const SAVE_NS = 2e9;

const SavedHead = v.object({
  run: v.string(),
  generation: v.number(),
  number: v.number(),
  seal: v.string(),
  /** The warden had made its last record when it saved this. */
  isEnd: v.boolean(),
});
type SavedHead = Readonly<v.InferOutput<typeof SavedHead>>;

/** The last record of the chain as saved; undefined if there is no readable file, or one that another user can write. */
export function readChainHead(stateDirectory: string): SavedHead | undefined {
  const bytes = readCheckedFileOrNothing(join(stateDirectory, CHAIN_HEAD), stateFile(HEAD_LIMIT));
  return bytes === undefined ? undefined : parseJson(SavedHead, bytes.toString("utf8"));
}

export interface ChainStoreInputs {
  readonly stateDirectory: string;
  readonly origin: ChainOrigin;
  readonly writeFile: WriteFile;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class ChainStore {
  readonly chain: JournalChain;
  private readonly inputs: ChainStoreInputs;
  private saved: ChainLink | undefined;
  private notBefore = 0;
  /** Why the last save failed; undefined if it did not. */
  failure: string | undefined;

  /** Reads the key, or makes one, for which it waits for the disk. */
  constructor(inputs: ChainStoreInputs) {
    this.inputs = inputs;
    const { stateDirectory, origin } = inputs;
    const saved = readChainHead(stateDirectory);
    this.saved = saved;
    this.chain = new JournalChain(this.key(), origin, saved, saved?.isEnd !== false);
  }

  private key(): Uint8Array {
    const { stateDirectory } = this.inputs;
    const saved = readSecretKey(stateDirectory, CHAIN_KEY);
    if (saved instanceof Uint8Array) return saved;
    const { key, path, text } = newSecretKey(stateDirectory, CHAIN_KEY);
    writeNow(path, text, (error) => this.report(error));
    return key;
  }

  /** Nanoseconds from `now` until the last record is to be saved; undefined if it has been. */
  dueIn(now: number): number | undefined {
    return this.chain.head === this.saved ? undefined : Math.max(0, this.notBefore - now);
  }

  /** `isEnd`: this warden makes no more records. */
  save(isEnd: boolean): void {
    const { head } = this.chain;
    if (head === undefined) return;
    const { stateDirectory, writeFile } = this.inputs;
    this.notBefore = monotonicNow() + SAVE_NS;
    this.saved = head;
    const text = JSON.stringify({ ...head, isEnd } satisfies SavedHead);
    writeFile(join(stateDirectory, CHAIN_HEAD), text, (error) => this.report(error));
  }

  /**
   * Once, because the record makes the chain longer, which is to be saved again. Later, because the first records are
   * made while the chain is.
   */
  private report(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = String(error);
    queueMicrotask(() => this.inputs.recordChange("journal.not_sealed", { "error.message": String(error) }));
  }
}
