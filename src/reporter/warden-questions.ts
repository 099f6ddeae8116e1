// Pings the warden. The answer shows that it is alive, and follows all totals of that moment, so totals are current.
import type { Pong, Request } from "../report/wire.ts";
import type { Health } from "./endpoint.ts";

/** The longest wait for an answer, ms. */
const ANSWER_MS = 1_000;
const silent: Health = { alive: false, reason: "the warden does not answer", degraded: [] };

export class WardenQuestions {
  private readonly send: (request: Request) => void;
  private count = 0;
  /** The ping in progress. Callers that ask meanwhile share its answer. */
  private current: Promise<Health> | undefined;
  private readonly unanswered = new Map<number, (health: Health) => void>();

  constructor(send: (request: Request) => void) {
    this.send = send;
  }

  /** The warden's answer, or a health of not alive if there is none after `ms`, at most a second. */
  async ask(ms = ANSWER_MS): Promise<Health> {
    this.current ??= this.ping().finally(() => {
      this.current = undefined;
    });
    return await Promise.race([this.current, Bun.sleep(ms).then(() => silent)]);
  }

  onPong({ id, alive, reason, degraded }: Pong): void {
    this.unanswered.get(id)?.({ alive, reason, degraded });
  }

  private ping(): Promise<Health> {
    this.count += 1;
    const id = this.count;
    return new Promise((resolve) => {
      const answer = (health: Health): void => {
        clearTimeout(timer);
        this.unanswered.delete(id);
        resolve(health);
      };
      const timer = setTimeout(() => answer(silent), ANSWER_MS);
      this.unanswered.set(id, answer);
      this.send({ type: "ping", id });
    });
  }
}
