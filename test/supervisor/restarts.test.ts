// How restarts are counted by a warden that may be the process that is restarted.
import { expect, test } from "bun:test";
import { Restarts } from "../../src/supervisor/restarts.ts";
import type { ProcessName } from "../../src/vocabulary/processes.ts";

/** The orders that a warden gets; one that is `deaf` reads none. */
function sentTo(restarts: Restarts, deaf = false): readonly ProcessName[] {
  const sent: ProcessName[] = [];
  restarts.send(({ restarted }) => {
    if (!deaf) sent.push(restarted);
    return !deaf;
  });
  return sent;
}

const killed = (restarted: ProcessName) => ({ restarted, ended: "SIGKILL" });

test("each restart is sent once", () => {
  const restarts = new Restarts();
  restarts.add(killed("reporter"));
  restarts.add(killed("examiner"));
  expect(sentTo(restarts)).toEqual(["reporter", "examiner"]);
  expect(sentTo(restarts)).toEqual([]);
});

test("a restart that the warden does not read waits", () => {
  const restarts = new Restarts();
  restarts.add(killed("reporter"));
  expect(sentTo(restarts, true)).toEqual([]);
  expect(sentTo(restarts)).toEqual(["reporter"]);
});

test("each start of a warden that crashes at its start is counted by the one that does not", () => {
  const restarts = new Restarts();
  for (let i = 0; i < 3; i += 1) {
    restarts.add(killed("warden"));
    sentTo(restarts);
    restarts.onWardenEnd(200);
  }
  restarts.add(killed("warden"));
  expect(sentTo(restarts)).toEqual(["warden", "warden", "warden", "warden"]);
  restarts.onWardenEnd(60_000);
  expect(sentTo(restarts)).toEqual([]);
});
