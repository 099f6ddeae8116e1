// What the conditions of a rule may name: variables that are known before the verdict, and the policy's lists.
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import { isJudged, isVariableName, judgedNames, judgedRows, kindsWithout } from "../vocabulary/variables.ts";
import type { Names, Refusal } from "./name-reader.ts";
import type { ListItems } from "./resolve.ts";

/** `kinds`: the events that the rule is on. Each of them must have every variable that the rule names. */
export function ruleNames(lists: ReadonlyMap<string, ListItems>, kinds: readonly JudgedKind[]): Names {
  const isUsable = (name: string): boolean => isJudged(name) && kindsWithout(name, kinds).length === 0;
  return {
    variable: (name) => (isJudged(name) && isUsable(name) ? judgedRows[name] : undefined),
    refusal: (name) => refusalOf(name, kinds),
    list: (name) => lists.get(name),
    variables: judgedNames.filter(isUsable),
    lists: [...lists.keys()],
  };
}

function refusalOf(name: string, kinds: readonly JudgedKind[]): Refusal | undefined {
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
