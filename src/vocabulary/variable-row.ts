// The shape of a row of the table of variables.
import type { Dependency } from "./dependencies.ts";
import type { EventKind } from "./event-kinds.ts";

export type VariableType = "string" | "string[]" | "int" | "int[]" | "number" | "bool";

interface NamedRow {
  readonly type: VariableType;
  /** The value may be null: the process really has none, which is not the same as unknown (absent). */
  readonly nullable?: true;
  /** Kinds of events whose records may have it; none: only lines that a command prints. */
  readonly kinds: readonly EventKind[] | "all";
  /** OpenTelemetry's semantic conventions have the name: over OTLP it goes without our prefix. */
  readonly otel?: true;
  readonly meaning: string;
}

/** A variable that is known before the verdict: a rule on an event of one of its kinds may name it. */
export interface JudgedRow extends NamedRow {
  readonly judged: true;
  /** Nothing else changes the value; empty: the value is the same for all events of a kind. */
  readonly dependsOn: readonly Dependency[];
  /**
   * How the lineage of a policy test gives it. `set`: by its name. `inherited`: likewise, and its children have it
   * too. `event`: the test's event gives it. `derived`: it follows from the rest. `absent`: a test cannot give it.
   */
  readonly inTests: "set" | "inherited" | "event" | "derived" | "absent";
  /** Its value in a test that does not give it, which is what most processes of a host have; else it is absent. */
  readonly ordinary?: null | false;
  /** The value is an IP address, which rules compare by `cidr` and never as text. */
  readonly address?: true;
  /** Making the value costs time, so it is made only where a rule comes to ask for it. */
  readonly expensive?: true;
  /** No record has it. */
  readonly policiesOnly?: true;
}

/** A name that only records and the lines of commands have. */
export interface ReportedRow extends NamedRow {
  readonly judged: false;
}

export type VariableRow = JudgedRow | ReportedRow;

/** A row that is only reported. */
export function reported<const T extends VariableType>(
  type: T,
  kinds: ReportedRow["kinds"],
  meaning: string,
): ReportedRow & { readonly type: T } {
  return { type, judged: false, kinds, meaning };
}
