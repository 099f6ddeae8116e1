// Parts of a text that are to be hidden.

/** What stands in place of a secret. */
export const HIDDEN = "[redacted]";

/** The part of a text from `start` up to, not including, `end`, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The parts of `text` that `spans` cover, in order, each with `HIDDEN` in its place. The spans may overlap. */
export function hideSpans(text: string, spans: readonly Span[]): string {
  let safe = "";
  let end = 0;
  for (const span of mergeSpans(spans)) {
    safe += text.slice(end, span.start) + HIDDEN;
    end = span.end;
  }
  return safe + text.slice(end);
}

/** The same parts in ascending order, where none touches another and none is empty. */
export function mergeSpans(spans: readonly Span[]): readonly Span[] {
  const merged: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    if (span.end <= span.start) continue;
    const last = merged.at(-1);
    if (last === undefined || span.start > last.end) merged.push(span);
    else if (span.end > last.end) merged[merged.length - 1] = { start: last.start, end: span.end };
  }
  return merged;
}
