// Error messages for captures that cannot be read.
import { VERSION } from "../sensor/capture/format.ts";
import type { CaptureProblem } from "../sensor/capture/read.ts";
import { CommandError, exitCodes } from "./output.ts";

/** The error for `file`, which is the path as the user wrote it. */
export function refusal(file: string, problem: CaptureProblem): CommandError {
  switch (problem.kind) {
    case "not_a_capture":
      return new CommandError(
        exitCodes.usage,
        `${file}: not a capture`,
        "treewarden record --out F makes one",
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
