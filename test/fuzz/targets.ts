// Every parser of bytes that somebody else writes. A parser is added with a row here and a corpus of the same name.
import type { FuzzTarget } from "./target.ts";
import { accounting } from "./targets/accounting.ts";
import { captureFrames, captureLines } from "./targets/captures.ts";
import { commandLines } from "./targets/command-lines.ts";
import { events } from "./targets/events.ts";
import { http } from "./targets/http.ts";
import { images } from "./targets/images.ts";
import { journal } from "./targets/journal.ts";
import { otlp } from "./targets/otlp.ts";
import { apk, dpkg, rpm } from "./targets/packages.ts";
import { baselines, configuration, policies, signatures } from "./targets/policies.ts";
import { proc } from "./targets/proc.ts";
import { wire } from "./targets/wire.ts";

export const targets: readonly FuzzTarget[] = [
  events,
  proc,
  accounting,
  commandLines,
  dpkg,
  apk,
  rpm,
  images,
  captureFrames,
  captureLines,
  policies,
  signatures,
  baselines,
  configuration,
  wire,
  journal,
  http,
  otlp,
];
