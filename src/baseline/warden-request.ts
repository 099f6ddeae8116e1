// What root's commands ask of a running warden: one small file a request, in a folder that only root writes.

export type WardenRequest =
  /** Collect every tree; `seconds` without loss, null: until stopped. */
  | { readonly kind: "learn"; readonly seconds: number | null }
  | { readonly kind: "stop-learning" }
  /** The baseline in force or the exclusions were changed: read them again. */
  | { readonly kind: "reload-baseline" };

/** Folder in the state directory, root's, 0700. */
export const REQUEST_FOLDER = "requests";
/** Whatever is longer is no request. */
export const REQUEST_FILE_LIMIT = 1_024;
/** Longest learning that can be asked for: a year, in seconds. */
export const LEARN_LIMIT = 366 * 86_400;
/** A folder with more is not read further: nothing ever asks that often. */
export const REQUESTS_LIMIT = 64;

/** Name of a request's file: ordered by time (ms since the epoch), so that requests are obeyed in the order they came. */
export function requestName(ms: number, random: number): string {
  return `${String(Math.floor(ms)).padStart(15, "0")}-${Math.floor(random).toString(16).padStart(8, "0").slice(-8)}.json`;
}

/** Whether a file in the folder is a request; others are not looked at. */
export function isRequestName(name: string): boolean {
  return /^\d{15}-[0-9a-f]{8}\.json$/.test(name);
}

export function formatWardenRequest(request: WardenRequest): string {
  return `${JSON.stringify({ version: 1, ...request })}\n`;
}

/** undefined for whatever is not exactly a request. */
export function parseWardenRequest(bytes: Uint8Array): WardenRequest | undefined {
  if (bytes.length > REQUEST_FILE_LIMIT) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { version, kind, seconds, ...more }: Record<string, unknown> = { ...value };
  if (version !== 1 || Object.keys(more).length > 0) return undefined;
  switch (kind) {
    case "learn":
      return seconds === null || isSeconds(seconds) ? { kind, seconds } : undefined;
    case "stop-learning":
    case "reload-baseline":
      return seconds === undefined ? { kind } : undefined;
    default:
      return undefined;
  }
}

function isSeconds(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= LEARN_LIMIT;
}
