// Reads the orders of root's commands from their files in the state directory.
import { join } from "node:path";
import {
  inForceAt,
  noOverrides,
  OVERRIDES_FILE_LIMIT,
  OVERRIDES_FOLDER,
  type OverrideKind,
  type Overrides,
  overrideFiles,
  parseOrders,
  parseRecorded,
  type RecordedOverrides,
  withoutOrders,
} from "../enforcement/overrides.ts";
import { boottimeNow, realtimeNow } from "../linux/clock.ts";
import { FileVersion } from "../linux/file-version.ts";
import { bootId } from "../linux/process.ts";
import { readCheckedFile, readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { Moment } from "../vocabulary/moment.ts";

/** In bytes: the orders of all kinds. */
const RECORDED_LIMIT = 8 << 20;

/** What the files hold. */
export interface StoredOverrides {
  readonly overrides: Overrides;
  /** The files that cannot be used. */
  readonly problems: readonly OverrideProblem[];
  /** A file that takes something away cannot be used: until it is repaired nothing may act. */
  readonly holdsAll: boolean;
}

export interface OverrideProblem {
  readonly kind: OverrideKind;
  /** The file, and what is wrong with it. */
  readonly text: string;
}

export function overridePath(stateDirectory: string, kind: OverrideKind): string {
  return join(stateDirectory, OVERRIDES_FOLDER, overrideFiles[kind]);
}

/** Reads the files; one that is missing holds no order, one that others can have written or that is broken none. */
export function readOverrides(stateDirectory: string): StoredOverrides {
  const problems: OverrideProblem[] = [];
  let holdsAll = false;
  const read = <K extends OverrideKind>(kind: K): Overrides[K] => {
    const path = overridePath(stateDirectory, kind);
    const content = readCheckedFile(path, stateFile(OVERRIDES_FILE_LIMIT));
    if (!content.ok && content.problem.kind === "missing") return noOverrides[kind];
    const orders = content.ok ? parseOrders[kind](content.bytes.toString("utf8")) : undefined;
    if (orders !== undefined) return orders;
    const reason = content.ok ? "is not a file of orders" : content.problem.reason;
    problems.push({ kind, text: `${path} ${reason}` });
    holdsAll ||= kind === "disarm" || kind === "pause";
    return noOverrides[kind];
  };
  const overrides = {
    arm: read("arm"),
    disarm: read("disarm"),
    confirm: read("confirm"),
    pause: read("pause"),
    silence: read("silence"),
  };
  return { overrides, problems, holdsAll };
}

/** The warden's own file about the orders: outside of their folder, whose time says when a command has changed one. */
export function recordedPath(stateDirectory: string): string {
  return join(stateDirectory, "overrides-recorded.json");
}

/** What the last warden recorded of the orders; undefined if it recorded nothing. */
export function readRecorded(stateDirectory: string): RecordedOverrides | undefined {
  const bytes = readCheckedFileOrNothing(recordedPath(stateDirectory), stateFile(RECORDED_LIMIT));
  return bytes && parseRecorded(bytes.toString("utf8"));
}

/** The orders of `stored` that hold at `now`, without those of which a warden has seen the end. */
export function ordersInForce(
  stateDirectory: string,
  { overrides }: StoredOverrides,
  now: Moment,
): Overrides {
  return inForceAt(withoutOrders(overrides, new Set(readRecorded(stateDirectory)?.ended)), now);
}

/** It changes whenever a file in the folder is replaced. Cheap: the kernel has the folder in memory. */
export function overridesVersion(stateDirectory: string): FileVersion {
  return new FileVersion(join(stateDirectory, OVERRIDES_FOLDER));
}

const ownBoot = bootId();

export function momentNow(): Moment {
  return { wall: realtimeNow() / 1e9, boot: ownBoot, boottime: boottimeNow() / 1e9 };
}
