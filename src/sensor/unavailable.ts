// A sensor that cannot be opened on this host, which is an answer and not a fault.

/** The kernel, the permissions or a file do not allow this sensor. `hint`: what to do about it. */
export class SensorUnavailable extends Error {
  override readonly name = "SensorUnavailable";
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}
