// A setting of an output that cannot be used. It turns the output off, never the warden.

export interface OutputProblem {
  /** The outputs that are off, by the label under which their failures count (`signal`). */
  readonly signals: readonly string[];
  /** Names the output, the setting, and what it must be; never its value where that may be secret. */
  readonly text: string;
}
