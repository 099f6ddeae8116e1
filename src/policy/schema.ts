// The schema of a policy file. Conditions may be any value here; condition.ts checks them.
import { getNodeValue, type Node } from "jsonc-parser";
import * as v from "valibot";
import { eitherOf, pathText, shownValue } from "../vocabulary/error-text.ts";
import { judgedKinds } from "../vocabulary/event-kinds.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { severities } from "../vocabulary/severities.ts";
import { isVariableName } from "../vocabulary/variables.ts";
import { DIGESTS_LIMIT } from "./content-digests.ts";
import { type Document, nodeAt, property } from "./document.ts";

/** In rising order. `deny` refuses a use of the network; an exec cannot be denied. `stop`: the tree stands still. */
export const actions = ["allow", "alert", "deny", "stop", "kill"] as const;
export type Action = (typeof actions)[number];

/** Actions that end, stop or refuse something, so that only an armed rule may carry them out. */
export const needsArming: Readonly<Record<Action, boolean>> = {
  allow: false,
  alert: false,
  deny: true,
  stop: true,
  kill: true,
};

/** Whether the action is carried out on a process and all that descends from it. */
export function actsOnTree(action: Action): action is "stop" | "kill" {
  return action === "stop" || action === "kill";
}

export function isAction(value: unknown): value is Action {
  return actions.some((action) => action === value);
}

/** What an exec may be denied by: nothing. */
export const DENIES_EXECS = "an exec cannot be denied, only connect, send and listen";

function isForExecs(value: Action): boolean {
  return value !== "deny";
}

/** The reserved id of the default action. */
export const DEFAULT_RULE = "default";

const name = v.pipe(
  v.string(),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/,
    "a name is 1 to 64 letters, digits, dots, dashes and underscores",
  ),
);
const ruleId = v.pipe(
  name,
  v.check((id) => id !== DEFAULT_RULE, `"${DEFAULT_RULE}" is reserved for the default action`),
);
const text = v.pipe(v.string(), v.maxLength(1000, "longer than 1000 characters"));
const listItems = v.pipe(
  v.array(v.union([v.string(), v.number()])),
  v.maxLength(10_000, "more than 10000 entries"),
);

const onSchema = v.pipe(
  v.array(v.picklist(judgedKinds)),
  v.minLength(1, `name at least one kind of event: ${judgedKinds.join(", ")}`),
);
const action = v.picklist(actions);
const execAction = v.pipe(action, v.check(isForExecs, DENIES_EXECS));
const defaultByKind = v.pipe(
  v.record(v.picklist(judgedKinds), action),
  v.check(({ exec }) => exec === undefined || isForExecs(exec), DENIES_EXECS),
  v.check(
    (byKind) => Object.keys(byKind).length > 0,
    `name at least one kind of event: ${judgedKinds.join(", ")}`,
  ),
);

/** A condition of JSONLogic. */
export const conditionSchema = v.unknown();

const ruleSchema = v.strictObject({
  id: ruleId,
  /** The role that defines the rule; written by `policy show`. */
  ruleset: v.optional(name),
  description: v.optional(text),
  /** The kinds of event for which the rule is evaluated; by default execs. */
  on: v.optional(onSchema),
  when: conditionSchema,
  except: v.optional(v.array(conditionSchema)),
  action,
  severity: v.optional(v.picklist(severities)),
  tags: v.optional(v.pipe(v.array(text), v.maxLength(50, "more than 50 tags"))),
  enabled: v.optional(v.boolean()),
  unknown: v.optional(v.literal("match")),
});

const overrideSchema = v.strictObject({
  action: v.optional(action),
  severity: v.optional(v.picklist(severities)),
  enabled: v.optional(v.boolean()),
  except: v.optional(v.array(conditionSchema)),
});

const variables = v.record(
  v.pipe(v.string(), v.check(isVariableName, "not a name of the vocabulary")),
  v.union([v.null(), v.string(), v.number(), v.boolean(), v.array(v.string())]),
);

const expectSchema = v.strictObject({ action, rule: v.optional(name) });

const testSchema = v.strictObject({
  name: text,
  lineage: v.pipe(
    v.array(v.union([v.string(), variables])),
    v.minLength(1, "a lineage has at least the process itself"),
  ),
  /** What the last process of the lineage does on the network; without it, the process has just been executed. */
  event: v.optional(variables),
  known: v.optional(v.nullable(v.union([v.boolean(), v.literal("absent")]))),
  expect: expectSchema,
});

const listSchema = v.union([
  listItems,
  v.strictObject({ append: listItems }),
  /** A file of networks, relative to the policy's. */
  v.strictObject({ file: v.pipe(text, v.minLength(1, "an empty name")) }),
]);

export const roleFileSchema = v.strictObject({
  role: name,
  description: v.optional(text),
  extends: v.optional(v.pipe(v.array(v.string()), v.maxLength(32, "more than 32 parents"))),
  lists: v.optional(v.record(name, listSchema)),
  rules: v.optional(v.pipe(v.array(ruleSchema), v.maxLength(2000, "more than 2000 rules"))),
  override: v.optional(v.record(v.string(), overrideSchema)),
  /** Files of sha256sum(1), relative to the policy's, or single digests: contents that are never changed. */
  digests: v.optional(
    v.pipe(
      v.array(v.pipe(text, v.minLength(1, "an empty name"))),
      v.maxLength(DIGESTS_LIMIT, `more than ${DIGESTS_LIMIT} entries`),
    ),
  ),
  /** One action, for execs, or one for each kind of event. */
  default: v.optional(v.lazy((value) => (typeof value === "object" ? defaultByKind : execAction))),
  /** The role that first held the default; written by `policy show`. */
  default_ruleset: v.optional(name),
  tests: v.optional(v.array(testSchema)),
});

export type RoleFile = v.InferOutput<typeof roleFileSchema>;
export type RuleEntry = v.InferOutput<typeof ruleSchema>;
export type OverrideEntry = v.InferOutput<typeof overrideSchema>;
export type TestEntry = v.InferOutput<typeof testSchema>;

/** Validates the file. If it is wrong, reports errors to the document and returns undefined. */
export function readRoleFile(document: Document, root: Node): RoleFile | undefined {
  if (root.type !== "object") {
    document.report(root, `a policy is an object, not ${root.type}`, '{ "role": "web", "rules": [ ... ] }');
    return undefined;
  }
  // The document has already refused keys that could reach a prototype.
  const value: unknown = getNodeValue(root);
  const result = v.safeParse(roleFileSchema, value, { abortPipeEarly: true });
  if (result.success) return result.output;
  for (const issue of result.issues.slice(0, 20)) explain(document, root, issue);
  return undefined;
}

function explain(document: Document, root: Node, issue: v.BaseIssue<unknown>): void {
  const path = (issue.path ?? []).map((item) => item.key);
  const last = path.at(-1);
  const node = nodeAt(root, path);
  const what = path.length === 0 ? "a policy" : pathText(path);
  if (issue.type === "strict_object" && issue.expected === "never") {
    const holder = nodeAt(root, path.slice(0, -1));
    const key = property(holder, String(last))?.key ?? node;
    const known = keysAt(path.slice(0, -1)).filter((name) => property(holder, name) === undefined);
    const meant = nearest(String(last), known);
    document.report(
      key,
      `unknown key "${last}"`,
      meant === undefined ? `known here: ${known.join(", ")}` : `did you mean "${meant}"?`,
    );
  } else if (issue.type === "strict_object" && issue.received === "undefined") {
    document.report(node, `"${last}" is missing`, missingFix[String(last)]);
  } else if (issue.type === "picklist") {
    explainChoice(document, keyOf(root, issue, path) ?? node, what, issue);
  } else if (issue.kind === "validation") {
    document.report(keyOf(root, issue, path) ?? node, `${what}: ${issue.message}`);
  } else {
    document.report(node, `${what} must be ${plain(issue.expected)}, not ${shownValue(issue.input)}`);
  }
}

/** The node of the key itself, if the key is what is wrong. */
function keyOf(root: Node, issue: v.BaseIssue<unknown>, path: readonly unknown[]): Node | undefined {
  if (issue.path?.at(-1)?.origin !== "key") return undefined;
  return property(nodeAt(root, path.slice(0, -1)), String(path.at(-1)))?.key;
}

/** Explains a value that is not one of the permitted texts. */
function explainChoice(
  document: Document,
  node: Node,
  what: string,
  { input, expected }: v.BaseIssue<unknown>,
): void {
  const choices = expected?.match(/[a-z]+/g) ?? [];
  const meant = nearest(String(input), choices);
  document.report(
    node,
    `${what} must be ${eitherOf(choices)}, not ${shownValue(input)}`,
    meant === undefined ? undefined : `did you mean "${meant}"?`,
  );
}

const missingFix: Readonly<Record<string, string>> = {
  role: 'give the role a name: "role": "web"',
  id: 'give the rule a name of its own: "id": "shell-under-nginx"',
  action: `say what to do: "action": ${actions.join(", ")}`,
  when: 'give the rule its condition: "when": { ... }',
};

function keysAt(path: readonly unknown[]): string[] {
  const [top, , inner] = path;
  if (path.length === 0) return Object.keys(roleFileSchema.entries);
  if (top === "rules") return Object.keys(ruleSchema.entries);
  if (top === "override") return Object.keys(overrideSchema.entries);
  if (top === "tests") return Object.keys(inner === "expect" ? expectSchema.entries : testSchema.entries);
  return ["append", "file"];
}

function plain(expected: string | null): string {
  if (expected === null) return "something else";
  return expected
    .replaceAll("Array", "an array")
    .replaceAll("Object", "an object")
    .replace(/^\((.*)\)$/, "$1");
}
