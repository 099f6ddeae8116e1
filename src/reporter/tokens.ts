// A token bucket: some actions at once, and afterwards a fixed number a second.

export interface TokensOptions {
  readonly burst: number;
  readonly perSecond: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export interface Tokens {
  /** Takes a token; false if there is none. */
  take(): boolean;
}

export function createTokens({ burst, perSecond, now }: TokensOptions): Tokens {
  let left = burst;
  let filledAt = now();
  return {
    take() {
      const time = now();
      left = Math.min(burst, left + ((time - filledAt) / 1_000) * perSecond);
      filledAt = time;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
