// The names that a rule's conditions may use: variables that are known before the verdict, and the policy's lists.

import { environmentVariable, isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import { isJudged, isVariableName, judgedNames, judgedRow, kindsWithout } from "../vocabulary/variables.ts";
import type { NameRefusal, Names } from "./name-reader.ts";
import type { ListItems } from "./resolve.ts";

/** The environment variables that are read; `any`: it is not known which. */
export type EnvironmentNames = readonly string[] | "any";

/**
 * `kinds`: the rule's kinds of event. Each of them must have every variable that the rule names. `environmentNames`:
 * the environment variables that are read.
 */
export function ruleNames(
  lists: ReadonlyMap<string, ListItems>,
  kinds: readonly JudgedKind[],
  environmentNames: EnvironmentNames,
): Names {
  const listed = environmentNames === "any" ? [] : environmentNames;
  const isRead = (name: string): boolean =>
    !isEnvironmentVariable(name) || environmentNames === "any" || listed.includes(nameInEnvironment(name));
  const isUsable = (name: string): boolean =>
    isJudged(name) && isRead(name) && kindsWithout(name, kinds).length === 0;
  return {
    variable: (name) => (isJudged(name) && isUsable(name) ? judgedRow(name) : undefined),
    refusal: (name) => (isRead(name) ? refusalOf(name, kinds) : notRead(name, listed)),
    list: (name) => lists.get(name),
    variables: [...judgedNames, ...listed.map(environmentVariable)].filter(isUsable),
    lists: [...lists.keys()],
  };
}

function notRead(name: string, listed: readonly string[]): NameRefusal | undefined {
  if (!isEnvironmentVariable(name)) return undefined;
  const wanted = nameInEnvironment(name);
  return {
    message: `the environment variable ${wanted} is not read`,
    fix: `add it in config.yaml: environment: { read: [${[...listed, wanted].join(", ")}] }`,
  };
}

function refusalOf(name: string, kinds: readonly JudgedKind[]): NameRefusal | undefined {
  if (!isVariableName(name)) return undefined;
  if (!isJudged(name))
    return {
      message: `"${name}" is not known before the verdict`,
      fix: "a policy can name what is known of the process and its tree",
    };
  const without = kindsWithout(name, kinds);
  if (without.length === 0) return undefined;
  return {
    message: `the rule is on ${kinds.join(", ")}, and ${without.join(", ")} has no "${name}"`,
    fix: "make it a rule for each kind of event, or name what all of them have",
  };
}
