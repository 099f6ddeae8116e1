// Progress of work that may take longer than a second: one line on standard error, if that is a terminal.

/** Work that ends earlier shows nothing. */
const FIRST_AFTER_MS = 1_000;
const INTERVAL_MS = 200;
const CLEAR_LINE = "\r\u001b[K";

export class Progress implements Disposable {
  private readonly what: string;
  private nextAt = performance.now() + FIRST_AFTER_MS;
  private isShown = false;

  /** `what`: for example "reading learned trees". */
  constructor(what: string) {
    this.what = what;
  }

  /** Shows how far the work is; `total` is undefined if that is not known. */
  update(done: number, total: number | undefined): void {
    if (process.stderr.isTTY !== true || performance.now() < this.nextAt) return;
    this.nextAt = performance.now() + INTERVAL_MS;
    this.isShown = true;
    process.stderr.write(`${CLEAR_LINE}${this.what}: ${done}${total === undefined ? "" : ` of ${total}`}`);
  }

  /** Removes the line. */
  [Symbol.dispose](): void {
    if (this.isShown) process.stderr.write(CLEAR_LINE);
  }
}
