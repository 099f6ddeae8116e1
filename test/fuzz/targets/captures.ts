// Captures that somebody else has made: their frames, and their lines through a whole replay.

import type { OtherPolicy } from "../../../src/offline/captured-host.ts";
import { replay } from "../../../src/offline/replay.ts";
import { embeddedPolicies } from "../../../src/policy/embedded.ts";
import { loadPolicies } from "../../../src/policy/load.ts";
import { prettyLine } from "../../../src/report/pretty.ts";
import { openCapture } from "../../../src/sensor/capture/capture-reader.ts";
import { storeFrame } from "../../../src/sensor/capture/frame.ts";
import { headerLine } from "../../../src/sensor/capture/header.ts";
import { header } from "../../sensor/capture-arbitrary.ts";
import { sourceOf } from "../../sensor/capture-fixture.ts";
import type { FuzzTarget } from "../target.ts";

export const captureFrames: FuzzTarget = {
  name: "capture-frames",
  parses: "the zstd frames of a capture and the chain that they form",
  weight: 8,
  parse(input) {
    const opened = openCapture(sourceOf(input));
    if (!opened.ok) return opened.problem.kind.length;
    let items = 0;
    opened.capture.read(() => {
      items += 1;
    });
    return items;
  },
};

function base(): OtherPolicy {
  const loaded = loadPolicies(["base"], {
    read: () => undefined,
    embedded: embeddedPolicies,
    searchPath: [],
  });
  if (loaded.policy === undefined) throw new Error("the embedded policy is broken");
  return { policy: loaded.policy, baselines: [] };
}

let policy: OtherPolicy | undefined;
const first = Buffer.from(`${JSON.stringify(headerLine(header))}\n`);

/** The lines behind the header, in a frame that is whole: what a capture can hold is checked line by line. */
export const captureLines: FuzzTarget = {
  name: "capture-lines",
  parses: "the lines of a capture, replayed through lineages, trees and a policy",
  weight: 2,
  words: ['{"event.name":', '"process.pid":', '"event.time":', "\n"],
  parse(input) {
    policy ??= base();
    const frame = storeFrame(Buffer.concat([first, input.subarray(0, 100_000), Buffer.from("\n")]));
    const opened = openCapture(sourceOf(frame));
    if (!opened.ok) return opened.problem.kind.length;
    let size = 0;
    const result = replay(
      opened.capture,
      (record) => {
        size += prettyLine(record, false).length;
      },
      policy,
    );
    return size + result.events;
  },
};
