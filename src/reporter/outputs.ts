// The table of outputs. A new output needs a file beside this one, a line here, a row in vocabulary/outputs.ts and a
// section in config/outputs.ts. Its counters, its position in the journal and retries follow from the line.
import { mailOutput } from "./mail-output.ts";
import { otlpOutput } from "./otlp-output.ts";
import type { OutputKind } from "./output.ts";
import { standardOutput } from "./standard-output.ts";

export const outputKinds: readonly OutputKind[] = [standardOutput, otlpOutput, mailOutput];
