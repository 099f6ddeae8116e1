// What is in force now, as the warden's info metrics name it.
import { instrumentNamed } from "../report/instruments.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";

export interface PolicyDigests {
  /** Roles whose policies are in force. */
  readonly roles: readonly string[];
  readonly policyDigests: readonly string[];
  readonly baselineDigests: readonly string[];
}

export function policyDigestsIn(series: Iterable<CumulativeSeries>): PolicyDigests {
  const infos = [...series].filter(
    ({ instrument }) => instrument === "policyInfo" || instrument === "baselineInfo",
  );
  const valuesOf = (instrument: CumulativeSeries["instrument"], label: string): readonly string[] => {
    const index = instrumentNamed(instrument).attributes.indexOf(label);
    return infos.flatMap((info) => (info.instrument === instrument ? (info.values[index] ?? []) : []));
  };
  return {
    roles: valuesOf("policyInfo", "role"),
    policyDigests: valuesOf("policyInfo", "digest"),
    baselineDigests: valuesOf("baselineInfo", "digest"),
  };
}
