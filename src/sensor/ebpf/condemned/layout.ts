// Layout of the map of condemned processes; its key is the thread group as u64.

export const condemnedProcess = {
  startTicks: 0, // u64
  signal: 8, // u64
  continued: 16, // u64, how often SIGCONT was sent to the process, or refused, while it was to stand still
  size: 24,
} as const;

/** asm-generic/signal.h */
export const condemnedSignals = { SIGKILL: 9, SIGSTOP: 19 } as const;
