// The character model behind the score of a name: a logistic regression over its features, trained by
// build/randomness-train.ts to distinguish names that people chose from random strings.
import { FEATURES, featuresOf, STEPS, WEIGHTS } from "./randomness-features.ts";
import trained from "./randomness-weights.json" with { type: "json" };

const weights = new Int8Array(WEIGHTS);
const stored = Bun.inflateSync(Buffer.from(trained.weights, "base64"));
for (let index = 0; index < Math.min(WEIGHTS, stored.length); index++) weights[index] = stored[index] ?? 0;

const features = new Int32Array(FEATURES);

/** Log odds (natural logarithm) that `name` is random rather than chosen, for the mixture the model was trained on. */
export function logOdds(name: string): number {
  const count = featuresOf(name, features);
  let sum = 0;
  for (let index = 0; index < count; index++) sum += weights[features[index] ?? 0] ?? 0;
  return sum / STEPS;
}
