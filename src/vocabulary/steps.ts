// Long work in short steps, so that the warden can judge events between them.

/** Each `next` does a part of the work that takes some milliseconds at most; the last one returns the result. */
export type Steps<T> = Generator<undefined, T>;

/** Does all of the work at once. */
export function allSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
