// The character model behind the score of a name: a logistic regression over its features, trained by
// build/randomness-train.ts to tell names that people gave from random strings.
import { FEATURES, featuresOf, STEPS, WEIGHTS } from "./randomness-features.ts";
import trained from "./randomness-weights.json" with { type: "json" };

const weights = new Int8Array(WEIGHTS);
const stored = Bun.inflateSync(Buffer.from(trained.weights, "base64"));
for (let at = 0; at < Math.min(WEIGHTS, stored.length); at++) weights[at] = stored[at] ?? 0;

const features = new Int32Array(FEATURES);

/** Log odds (natural logarithm) that `name` was drawn at random rather than given, for the mixture it was trained on. */
export function logOdds(name: string): number {
  const count = featuresOf(name, features);
  let sum = 0;
  for (let at = 0; at < count; at++) sum += weights[features[at] ?? 0] ?? 0;
  return sum / STEPS;
}
