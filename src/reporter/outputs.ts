// Every output of the reporter. A new one is a file beside this one, a line here, and its section in config.ts: its
// counters, its place in the journal, retries and the counts of what is lost follow from the line.
import { mailOutput } from "./mail-output.ts";
import { otlpOutput } from "./otlp-output.ts";
import type { OutputKind } from "./output.ts";
import { standardOutput } from "./standard-output.ts";

export const outputKinds: readonly OutputKind[] = [standardOutput, otlpOutput, mailOutput];
