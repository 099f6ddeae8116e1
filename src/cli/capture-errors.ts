// What a command reports about a capture that it cannot read, or not to its end.
import type { CaptureProblem } from "../sensor/capture/blocks.ts";
import type { CaptureEnd } from "../sensor/capture/capture-reader.ts";
import { VERSION } from "../sensor/capture/header.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

/** The error for `file`, which is the path as the user wrote it. */
export function refusal(file: string, problem: CaptureProblem): CommandError {
  switch (problem.kind) {
    case "not_a_capture":
      return new CommandError(
        exitCodes.usage,
        `${file}: not a capture`,
        "treewarden record --out F makes one",
      );
    case "binary":
      return new CommandError(
        exitCodes.usage,
        `${file}: a capture in the binary format of version 1; this treewarden reads version ${VERSION}`,
        "record it again, or replay it with the treewarden that made it",
      );
    case "version":
      return new CommandError(
        exitCodes.usage,
        `${file}: a capture of version ${problem.version}; this treewarden reads version ${VERSION}`,
        "replay it with the treewarden that made it",
      );
    case "cut":
      return new CommandError(exitCodes.usage, `${file}: cut at byte ${problem.at}, before its first event`);
    case "damaged":
      return new CommandError(exitCodes.usage, `${file}: damaged at byte ${problem.at}: ${problem.why}`);
  }
}

const reasons = {
  overrun: "the disk could not follow",
  stopped: "the warden ended",
  refused: "what the warden judged by had changed on the disk",
} as const;

/** Warns of a capture that does not go on to the end that was meant. `read`: what was done with what it has. */
export function warnOfEnd(file: string, end: CaptureEnd, read: string): void {
  if (end.kind === "cut") warn(`${file}: cut at byte ${end.at}: ${read}`);
  if (end.kind === "ended" && end.reason !== "complete")
    warn(`${file}: it ended early, ${reasons[end.reason]}: ${read}`);
}
