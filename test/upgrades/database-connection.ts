// A connection to PostgreSQL that stays, by a psql that reads queries.

export class DatabaseConnection implements AsyncDisposable {
  private readonly client: Bun.Subprocess<"pipe", "pipe", "ignore">;
  private readonly answers: AsyncIterator<Uint8Array>;
  private queries = 0;

  /** `command`: psql(1) with its options. */
  constructor(command: readonly string[], folder: string) {
    this.client = Bun.spawn([...command], { cwd: folder, stdio: ["pipe", "pipe", "ignore"] });
    this.answers = this.client.stdout[Symbol.asyncIterator]();
  }

  /** Waits until the query was answered. Throws if psql has ended. */
  async query(sql: string): Promise<void> {
    this.queries += 1;
    const end = `answered ${this.queries}\n`;
    this.client.stdin.write(`${sql};\n\\echo answered ${this.queries}\n`);
    this.client.stdin.flush();
    const decoder = new TextDecoder();
    for (let text = ""; !text.endsWith(end); ) {
      const { value, done } = await this.answers.next();
      if (done === true) throw new Error(`psql has ended: ${text}`);
      text += decoder.decode(value, { stream: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.stdin.end();
    await this.client.exited;
  }
}
