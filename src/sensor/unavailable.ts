// A sensor that cannot be opened on this host, which is an answer and not a fault.
import { HintedError } from "../vocabulary/errors.ts";

/** The kernel, the permissions or a file do not allow this sensor. `hint`: what to do about it. */
export class SensorUnavailable extends HintedError {
  override readonly name = "SensorUnavailable";
}
