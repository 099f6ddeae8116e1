// The commands with which a person goes on from a record.
import type { EventRecord } from "../../report/event-record.ts";
import { shellWord } from "../shell-word.ts";

/** Globs give these a meaning, so a tree with one of them is not its own pattern. */
const special = /[*{}\\]/;

/** `isLive`: the process of the record still runs. */
export function nextCommands(record: EventRecord, isLive: boolean): readonly string[] {
  const commands: string[] = [];
  const pid = record["process.pid"];
  const path = record["process.executable.path"];
  const tree = record["tree.exact"];
  const timestamp = record.timestamp;
  const [role, rule] = [record["security_rule.ruleset.name"], record["security_rule.name"]];
  const isTree = typeof tree === "string" && tree.startsWith("/") && !special.test(tree);
  if (isLive) commands.push(`treewarden explain ${pid}`);
  else if (typeof path === "string" && path.startsWith("/"))
    commands.push(`treewarden explain --exe ${shellWord(path)}`);
  if (typeof pid === "number" && typeof timestamp === "string")
    commands.push(`treewarden events --under ${pid} --since ${shellWord(timestamp)}`);
  if (isTree) commands.push(`treewarden events --tree ${shellWord(tree)} --since 24h`);
  if (isTree && record["tree.known"] === false)
    commands.push(`treewarden baseline exclude add ${shellWord(tree)} --for 1h --reason '...'`);
  if (isTree && typeof role === "string" && typeof rule === "string")
    commands.push(
      `treewarden silence ${shellWord(`${role}/${rule}`)} --tree ${shellWord(tree)} --for 1h --reason '...'`,
    );
  return commands;
}
