// Policies by name or path into a policy in force, all or nothing.
import { basename, dirname, join } from "node:path";
import { nearest } from "../config/nearest.ts";
import { readCondition } from "./condition.ts";
import { Document, elements, nodeAt, type PolicyError } from "./document.ts";
import type { Expression } from "./expression.ts";
import type { Names } from "./names.ts";
import { Judge, type Policy, type ResolvedPolicy, type RuleSource } from "./policy.ts";
import { type ListItems, plainOf, type Resolved, type ResolvedRule, type Role, resolve } from "./resolve.ts";
import { readRoleFile } from "./schema.ts";
import { checkTests } from "./testlineage.ts";
import { isVariableName, variableNames, vocabulary } from "./vocabulary.ts";

export type { PolicyError };

export interface PolicySources {
  /** The text of a file; undefined if there is none. Throws what the caller can act on for any other failure. */
  read(path: string): string | undefined;
  /** Role files inside the binary, by role. */
  readonly embedded: ReadonlyMap<string, string>;
  /** Folders in which a role is looked up, before the embedded ones. */
  readonly searchPath: readonly string[];
}

/** Where an operator's roles lie. */
export const POLICY_FOLDER = "/etc/treewarden/policies";

export type LoadResult =
  | { readonly policy: Policy; readonly role: Role; readonly errors?: undefined }
  | { readonly policy?: undefined; readonly role?: undefined; readonly errors: readonly PolicyError[] };

/**
 * Loads one policy, or several as one unnamed role that extends them in that order. A name with a slash or ending in
 * .json is a file; any other is a role. With any error there is no policy.
 */
export function loadPolicies(names: readonly string[], sources: PolicySources): LoadResult {
  const loader = new Loader(sources);
  const roles = names.map((name) => loader.load(name, undefined, undefined));
  const found = roles.filter((role) => role !== undefined);
  const [only] = found;
  if (loader.errors().length > 0 || found.length < roles.length || only === undefined) {
    const none: PolicyError = {
      file: "policy",
      line: 0,
      column: 0,
      message: "no policy was given",
      fix: "name a role or a file",
    };
    return { errors: names.length === 0 ? [none] : loader.errors() };
  }
  const role = found.length === 1 ? only : together(found);
  for (const one of found) checkTests(one);
  const resolved = resolve(role);
  const rules = readRules(resolved);
  const errors = loader.errors();
  if (errors.length > 0) return { errors };
  return { policy: policyOf(role, resolved, rules), role };
}

function together(parents: readonly Role[]): Role {
  return { file: { role: parents.map(({ file }) => file.role).join("+") }, source: undefined, parents };
}

class Loader {
  private readonly sources: PolicySources;
  private readonly documents: Document[] = [];
  private readonly failures: PolicyError[] = [];
  /** By place; undefined while it is being read, or if it is broken. */
  private readonly roles = new Map<string, Role | undefined>();
  private readonly holders = new Map<string, string>();

  constructor(sources: PolicySources) {
    this.sources = sources;
  }

  errors(): PolicyError[] {
    return [...this.failures, ...this.documents.flatMap((document) => document.errors)];
  }

  /** `by`: the document and node that name it, for errors; `beside`: the folder of the file that does. */
  load(
    name: string,
    by: ((message: string, fix?: string) => void) | undefined,
    beside: string | undefined,
    open: readonly string[] = [],
  ): Role | undefined {
    const fail =
      by ??
      ((message: string, fix?: string) =>
        void this.failures.push({ file: name, line: 0, column: 0, message, fix }));
    const found = this.find(name, beside);
    if (typeof found === "string") {
      fail(found, this.findFix(name));
      return undefined;
    }
    const { place, text } = found;
    if (open.includes(place)) {
      fail(
        `"${name}" extends itself: ${[...open.slice(open.indexOf(place)), place].map((one) => basename(one)).join(" > ")}`,
        "a role of the same name as its parent needs a name of its own",
      );
      return undefined;
    }
    if (this.roles.has(place)) return this.roles.get(place);
    const role = this.read(place, text, [...open, place]);
    this.roles.set(place, role);
    return role;
  }

  private find(name: string, beside: string | undefined): { place: string; text: string } | string {
    const isFile = name.includes("/") || name.endsWith(".json");
    if (!isFile && !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name))
      return `"${name}" is neither a role nor a file`;
    const places: string[] = [];
    if (isFile) places.push(name.startsWith("/") || beside === undefined ? name : join(beside, name));
    else {
      if (beside !== undefined) places.push(join(beside, `${name}.json`));
      for (const folder of this.sources.searchPath) places.push(join(folder, `${name}.json`));
    }
    for (const place of places) {
      let text: string | undefined;
      try {
        text = this.sources.read(place);
      } catch (error) {
        return `${place} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      }
      if (text !== undefined) return { place, text };
    }
    const text = isFile ? undefined : this.sources.embedded.get(name);
    if (text !== undefined) return { place: `embedded:${name}.json`, text };
    return isFile ? `no such file: ${places[0] ?? name}` : `no role "${name}"`;
  }

  private findFix(name: string): string | undefined {
    if (name.includes("/") || name.endsWith(".json")) return undefined;
    const meant = nearest(name, this.sources.embedded.keys());
    const where = [...this.sources.searchPath, "the roles that come with treewarden"].join(", then ");
    return meant === undefined
      ? `looked in ${where}: ${[...this.sources.embedded.keys()].join(", ")}`
      : `did you mean "${meant}"?`;
  }

  private read(place: string, text: string, open: readonly string[]): Role | undefined {
    const document = new Document(place, text);
    this.documents.push(document);
    const root = document.parse();
    const file = root === undefined ? undefined : readRoleFile(document, root);
    if (root === undefined || file === undefined) return undefined;
    const holder = this.holders.get(file.role);
    if (holder !== undefined) {
      document.report(
        nodeAt(root, ["role"]),
        `role "${file.role}" is also the one in ${holder}`,
        "give one of them another name",
      );
      return undefined;
    }
    this.holders.set(file.role, place);
    const beside = place.startsWith("embedded:") ? undefined : dirname(place);
    const nodes = elements(nodeAt(root, ["extends"]));
    const parents: Role[] = [];
    for (const [i, name] of (file.extends ?? []).entries()) {
      const node = nodes[i] ?? root;
      const parent = this.load(name, (message, fix) => document.report(node, message, fix), beside, open);
      if (parent !== undefined) parents.push(parent);
    }
    return { file, source: { document, root }, parents };
  }
}

interface ReadRule {
  readonly resolved: ResolvedRule;
  readonly when: Expression | undefined;
  readonly except: readonly (Expression | undefined)[];
}

function namesOf(lists: ReadonlyMap<string, ListItems>): Names {
  return {
    variable: (name) => (isVariableName(name) && vocabulary[name].judged ? vocabulary[name] : undefined),
    notJudged: (name) => isVariableName(name) && !vocabulary[name].judged,
    list: (name) => lists.get(name),
    variables: variableNames.filter((name) => vocabulary[name].judged),
    lists: lists.keys(),
  };
}

/** Disabled rules are read too: what is wrong in them would come as a surprise later. */
function readRules(resolved: Resolved): ReadRule[] {
  const names = namesOf(resolved.lists);
  return resolved.rules.map((rule) => ({
    resolved: rule,
    when: readCondition(rule.when.document, rule.when.node, names),
    except: rule.except.map(({ document, node }) => readCondition(document, node, names)),
  }));
}

function policyOf(role: Role, resolved: Resolved, rules: readonly ReadRule[]): Policy {
  const sources: RuleSource[] = [];
  for (const { resolved: rule, when, except } of rules) {
    if (!rule.enabled || when === undefined) continue;
    const { id, ruleset, description, action, severity, tags, unknownMatches } = rule;
    const exceptions = except.filter((expression) => expression !== undefined);
    sources.push({
      rule: { id, ruleset, description, action, severity, tags, unknownMatches },
      when,
      except: exceptions,
    });
  }
  const judge = new Judge(sources, resolved.defaultAction, resolved.defaultRuleset);
  const plain = plainPolicy(role, resolved);
  const digest = new Bun.CryptoHasher("sha256").update(JSON.stringify(plain)).digest("hex");
  return {
    role: role.file.role,
    version: digest.slice(0, 12),
    digest,
    rules: judge.rules,
    defaultAction: resolved.defaultAction,
    variables: judge.variables,
    resolved: plain,
    judge,
  };
}

function plainPolicy(role: Role, resolved: Resolved): ResolvedPolicy {
  return {
    role: role.file.role.replaceAll("+", "-"),
    ...(role.file.description === undefined ? {} : { description: role.file.description }),
    lists: Object.fromEntries(resolved.lists),
    rules: resolved.rules.map((rule) => ({
      id: rule.id,
      ruleset: rule.ruleset,
      ...(rule.description === undefined ? {} : { description: rule.description }),
      when: plainOf(rule.when),
      ...(rule.except.length === 0 ? {} : { except: rule.except.map(plainOf) }),
      action: rule.action,
      severity: rule.severity,
      ...(rule.tags.length === 0 ? {} : { tags: rule.tags }),
      ...(rule.enabled ? {} : { enabled: false }),
      ...(rule.unknownMatches ? { unknown: "match" } : {}),
    })),
    default: resolved.defaultAction,
  };
}
