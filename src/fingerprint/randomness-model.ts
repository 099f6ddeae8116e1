// The character model behind the score of a name: a logistic regression over its features, trained by
// build/randomness-train.ts to distinguish names that people chose from random strings.
import { FEATURES, featuresOf, STEPS, WEIGHTS } from "./randomness-features.ts";
import file from "./randomness-weights.json" with { type: "text" };

const weights = trainedWeights();

const features = new Int32Array(FEATURES);

/** The text of the file stays in the executable, and what is made of it on the way is garbage: 300 kB of each process. */
function trainedWeights(): Int8Array {
  const { weights: encoded }: typeof file = JSON.parse(String(file));
  const stored = Bun.inflateSync(Buffer.from(encoded, "base64"));
  return Int8Array.from({ length: WEIGHTS }, (_, index) => stored[index] ?? 0);
}

/** Log odds (natural logarithm) that `name` is random rather than chosen, for the mixture the model was trained on. */
export function logOdds(name: string): number {
  const count = featuresOf(name, features);
  let sum = 0;
  for (let index = 0; index < count; index++) sum += weights[features[index] ?? 0] ?? 0;
  return sum / STEPS;
}
