// Warnings about what can fail again and again, each at most once a minute.

const QUIET_MS = 60_000;

export class RateLimitedWarnings {
  private readonly warn: (message: string) => void;
  private readonly quietUntil = new Map<string, number>();

  constructor(warn: (message: string) => void) {
    this.warn = warn;
  }

  /** Warns unless it warned about the same subject within the last minute. */
  about(subject: string, message: string): void {
    const now = performance.now();
    if (now < (this.quietUntil.get(subject) ?? 0)) return;
    this.quietUntil.set(subject, now + QUIET_MS);
    this.warn(message);
  }
}
