// `treewarden reload`: has the running warden read its policies and baselines again.
import { Command } from "commander";
import { noWardenRuns, signalWarden } from "./baseline/request-warden.ts";
import { configOption, type HostFlags, hostConfig, stateDirOption } from "./host-settings.ts";

export function reloadCommand(): Command {
  return new Command("reload")
    .description("have the running warden read its policies, baselines and exclusions again")
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: HostFlags) => {
      const { state_directory: stateDirectory } = hostConfig(flags, "to decide");
      if (!signalWarden(stateDirectory, "SIGHUP")) throw noWardenRuns(stateDirectory);
    });
}
