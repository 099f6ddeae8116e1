// The files of OTLP's certificates and keys, which are renewed while treewarden runs.
import { statSync } from "node:fs";
import type { OtlpSettings } from "./otlp-settings.ts";

/** The time between two looks at the files: renewals come days before the old certificate ends. */
const LOOK_MS = 30_000;

/** The paths of all files of TLS, each once. */
export function certificateFiles(settings: OtlpSettings | null): readonly string[] {
  const signals = [settings?.logs, settings?.metrics];
  const files = signals.flatMap((signal) => Object.values(signal?.tls.files ?? {}));
  return [...new Set(files.map(({ path }) => path))];
}

/**
 * Calls back once when a file has become another one, and all have stayed the same since the look before: a certificate
 * and its key are not replaced at one moment. A file in a folder that this user cannot enter never seems to change.
 */
export function watchCertificates(
  paths: readonly string[],
  onRenewal: () => void,
  lookMs: number = LOOK_MS,
): Disposable {
  const first = paths.map(versionOf).join();
  let last = first;
  const look = (): void => {
    const now = paths.map(versionOf).join();
    const isSettled = now === last;
    last = now;
    if (now === first || !isSettled) return;
    clearInterval(timer);
    onRenewal();
  };
  const timer = paths.length === 0 ? undefined : setInterval(look, lookMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Differs for a file that was written or replaced. Links are followed, as those of certbot. */
function versionOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino}-${size}-${mtimeMs}`;
  } catch {
    return "";
  }
}
