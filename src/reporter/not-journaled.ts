// The counter of records that outputs got, but that will never be in the journal, because it could not be written.
import type { OwnSeries } from "./cumulative-totals.ts";

export const notJournaled: OwnSeries = { instrument: "queueDropped", values: ["journal"] };
