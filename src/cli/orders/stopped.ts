// `release` and `kill`: what becomes of a tree that a rule has stopped.
import type { Command } from "commander";
import { FactsReader } from "../../sensor/procfs/facts-reader.ts";
import { type HostFlags, hostConfigOrLastGood } from "../host-settings.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import { askWarden, noWardenRuns } from "../request-warden.ts";
import { requester } from "../requester.ts";
import { orderCommand } from "./give-order.ts";

export function releaseCommand(): Command {
  return stoppedCommand("release", "let a tree go on that a rule has stopped");
}

export function killCommand(): Command {
  return stoppedCommand("kill", "kill a tree that a rule has stopped");
}

function stoppedCommand(kind: "release" | "kill", description: string): Command {
  return orderCommand(kind, description)
    .argument("<pid>", "a process of the tree; treewarden status lists them")
    .action((pid: string, flags: HostFlags) => endStop(kind, pid, flags));
}

async function endStop(kind: "release" | "kill", text: string, flags: HostFlags): Promise<void> {
  const { config } = hostConfigOrLastGood(flags, "to decide");
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new CommandError(exitCodes.usage, `${text} is no process id`);
  const pid = Number(text);
  using reader = new FactsReader();
  const startTicks = reader.startTicks(pid);
  if (startTicks === undefined) throw new CommandError(exitCodes.no, `there is no process ${pid}`);
  const { state_directory: stateDirectory } = config;
  const { login_user, session } = requester(stateDirectory);
  const by = { pid: process.pid, login_user, session };
  const answer = await askWarden(stateDirectory, { kind, pid, startTicks, by });
  if (answer === undefined) throw noWardenRuns(stateDirectory);
  const [problem] = answer.problems;
  if (problem !== undefined)
    throw new CommandError(
      exitCodes.no,
      problem,
      "treewarden status lists the trees that are stopped; what treewarden did not stop is not its to end",
    );
  for (const note of answer.notes) warn(note);
}
