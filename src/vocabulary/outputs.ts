// The table of outputs that have a section of their own in the configuration, under the same name. An error in the section
// turns the output off.

interface OutputRow {
  /** Its name in a sentence. */
  readonly label: string;
  /** What it delivers, as values of `signal` in treewarden_export_failures_total and treewarden_output_disabled. */
  readonly signals: readonly string[];
}

export const configuredOutputs = {
  otlp: { label: "OTLP", signals: ["logs", "metrics"] },
  mail: { label: "mail", signals: ["mail"] },
} as const satisfies Readonly<Record<string, OutputRow>>;

export type ConfiguredOutput = keyof typeof configuredOutputs;
/** The signals of these outputs, or of one of them. */
export type OutputSignal<Output extends ConfiguredOutput = ConfiguredOutput> =
  (typeof configuredOutputs)[Output]["signals"][number];

export const configuredOutputNames: readonly ConfiguredOutput[] =
  Object.keys(configuredOutputs).filter(isConfiguredOutput);

export const outputSignals: readonly OutputSignal[] = configuredOutputNames.flatMap(
  (name) => configuredOutputs[name].signals,
);

function isConfiguredOutput(name: string): name is ConfiguredOutput {
  return Object.hasOwn(configuredOutputs, name);
}
