// Resolves the inheritance between roles into one list of rules.
import { getNodeValue, type Node } from "jsonc-parser";
import { forJudgedKinds, type JudgedKind } from "../vocabulary/event-kinds.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { DEFAULT_SEVERITY, type Severity } from "../vocabulary/severities.ts";
import { type Document, elements, nodeAt, property } from "./document.ts";
import type { RoleBaseline } from "./role-baseline.ts";
import { type Action, DENIES_EXECS, type OverrideEntry, type RoleFile, type RuleEntry } from "./schema.ts";
import type { SignedFile } from "./signature.ts";

/** A role's file with its parents. */
export interface LoadedRole {
  readonly file: RoleFile;
  /** undefined for the unnamed role that joins several policies. */
  readonly source: { readonly document: Document; readonly root: Node } | undefined;
  readonly parents: readonly LoadedRole[];
  /** The files that were read for this role, except those inside the binary. */
  readonly files: readonly SignedFile[];
  readonly baseline: RoleBaseline | undefined;
  /** Of its own `digests`, the contents in all files. */
  readonly digests: readonly string[];
}

/** A condition's node and the document that contains it. */
export interface Placed {
  readonly document: Document;
  readonly node: Node;
}

export interface ResolvedRule {
  readonly id: string;
  readonly ruleset: string;
  readonly description: string | undefined;
  /** Never empty. An override cannot change it: the condition was written for these kinds. */
  readonly on: readonly JudgedKind[];
  readonly action: Action;
  /** Where the action is given. */
  readonly actionAt: Placed;
  readonly severity: Severity;
  readonly tags: readonly string[];
  readonly enabled: boolean;
  readonly unknownMatches: boolean;
  /** The whole rule. */
  readonly definition: Placed;
  readonly when: Placed;
  readonly except: readonly Placed[];
}

export type ListItems = readonly (string | number)[];

export interface Resolved {
  readonly rules: readonly ResolvedRule[];
  readonly lists: ReadonlyMap<string, ListItems>;
  readonly defaults: Readonly<Record<JudgedKind, ResolvedDefault>>;
}

/** The action if no rule matches, and the role that sets it. */
export interface ResolvedDefault {
  readonly action: Action;
  readonly ruleset: string;
}

/** The kinds of event for a rule without `on`. */
export const DEFAULT_ON: readonly JudgedKind[] = ["exec"];

/** Resolves inheritance. Errors are reported to the documents. */
export function resolve(role: LoadedRole): Resolved {
  const order = preorder(role);
  const upwards = parentsFirst(role);
  const defaultFor = (kind: JudgedKind): ResolvedDefault =>
    defaultOf(role, kind) ?? { action: "allow", ruleset: role.file.role };
  return {
    rules: rulesOf(order, upwards),
    lists: listsOf(upwards),
    defaults: forJudgedKinds(defaultFor),
  };
}

/** The evaluation order: a role before its parents, parents left to right, depth first, each once. */
export function preorder(role: LoadedRole, seen: Set<LoadedRole> = new Set()): Set<LoadedRole> {
  if (seen.has(role)) return seen;
  seen.add(role);
  for (const parent of role.parents) preorder(parent, seen);
  return seen;
}

/** Ancestors come first, so that the most derived role wins; the first of two parents overrides the second. */
function parentsFirst(role: LoadedRole, seen: Set<LoadedRole> = new Set()): Set<LoadedRole> {
  if (seen.has(role)) return seen;
  for (const parent of role.parents.toReversed()) parentsFirst(parent, seen);
  seen.add(role);
  return seen;
}

function ancestorsOf(role: LoadedRole): Set<LoadedRole> {
  const ancestors = preorder(role);
  ancestors.delete(role);
  return ancestors;
}

function defaultOf(role: LoadedRole, kind: JudgedKind): ResolvedDefault | undefined {
  const { default: given } = role.file;
  const action = typeof given === "object" ? given[kind] : kind === "exec" ? given : undefined;
  if (action !== undefined) return { action, ruleset: role.file.default_ruleset ?? role.file.role };
  for (const parent of role.parents) {
    const inherited = defaultOf(parent, kind);
    if (inherited !== undefined) return inherited;
  }
  return undefined;
}

function rulesOf(order: ReadonlySet<LoadedRole>, upwards: ReadonlySet<LoadedRole>): ResolvedRule[] {
  const rules = new Map<string, { rule: ResolvedRule; holder: LoadedRole }>();
  for (const holder of order) {
    for (const [i, entry] of (holder.file.rules ?? []).entries()) {
      const { source } = holder;
      if (source === undefined) continue;
      const node = nodeAt(source.root, ["rules", i]);
      const first = rules.get(entry.id);
      if (first !== undefined) {
        const where = first.holder === holder ? "in this file" : `in role "${first.holder.file.role}"`;
        const fix =
          first.holder === holder
            ? "give it another id"
            : 'give it another id, or change the inherited one under "override"';
        source.document.report(
          property(node, "id")?.value ?? node,
          `rule "${entry.id}" is already ${where}`,
          fix,
        );
        continue;
      }
      rules.set(entry.id, { rule: ruleOf(entry, holder.file.role, source.document, node), holder });
    }
  }
  for (const role of upwards) override(role, rules);
  for (const { rule } of rules.values()) refuseDeniedExecs(rule);
  return [...rules.values()].map(({ rule }) => rule);
}

function ruleOf(entry: RuleEntry, role: string, document: Document, node: Node): ResolvedRule {
  return {
    id: entry.id,
    ruleset: entry.ruleset ?? role,
    description: entry.description,
    on: entry.on === undefined ? DEFAULT_ON : [...new Set(entry.on)],
    action: entry.action,
    actionAt: { document, node: property(node, "action")?.value ?? node },
    severity: entry.severity ?? DEFAULT_SEVERITY,
    tags: entry.tags ?? [],
    enabled: entry.enabled ?? true,
    unknownMatches: entry.unknown === "match",
    definition: { document, node },
    when: { document, node: property(node, "when")?.value ?? node },
    except: exceptOf(document, node),
  };
}

/** At the action of the rule, or of the override that changed it. */
function refuseDeniedExecs({ action, actionAt, on, id }: ResolvedRule): void {
  if (action !== "deny" || !on.includes("exec")) return;
  actionAt.document.report(
    actionAt.node,
    `rule "${id}" is on exec, and ${DENIES_EXECS}`,
    'name what it denies: "on": ["connect", "send"]',
  );
}

function exceptOf(document: Document, node: Node): Placed[] {
  const list = property(node, "except")?.value;
  return list === undefined ? [] : elements(list).map((child) => ({ document, node: child }));
}

function override(role: LoadedRole, rules: Map<string, { rule: ResolvedRule; holder: LoadedRole }>): void {
  const { source } = role;
  if (source === undefined) return;
  const ancestors = ancestorsOf(role);
  for (const [id, entry] of Object.entries(role.file.override ?? {})) {
    const node = nodeAt(source.root, ["override", id]);
    const known = rules.get(id);
    if (known === undefined || !ancestors.has(known.holder)) {
      const keyNode = property(nodeAt(source.root, ["override"]), id)?.key ?? node;
      if (known?.holder === role)
        source.document.report(keyNode, `rule "${id}" is this file's own`, "change the rule itself");
      else {
        const inherited = [...rules].filter(([, { holder }]) => ancestors.has(holder)).map(([name]) => name);
        const meant = nearest(id, inherited);
        source.document.report(
          keyNode,
          `no inherited rule "${id}" to override`,
          meant === undefined
            ? "treewarden policy show ROLE lists the inherited rules"
            : `did you mean "${meant}"?`,
        );
      }
      continue;
    }
    rules.set(id, {
      holder: known.holder,
      rule: overridden(known.rule, entry, { document: source.document, node }),
    });
  }
}

function overridden(rule: ResolvedRule, entry: OverrideEntry, { document, node }: Placed): ResolvedRule {
  const action = property(node, "action")?.value;
  return {
    ...rule,
    action: entry.action ?? rule.action,
    actionAt: action === undefined ? rule.actionAt : { document, node: action },
    severity: entry.severity ?? rule.severity,
    enabled: entry.enabled ?? rule.enabled,
    except: [...rule.except, ...exceptOf(document, node)],
  };
}

function listsOf(upwards: ReadonlySet<LoadedRole>): Map<string, ListItems> {
  const lists = new Map<string, ListItems>();
  const definedBy = new Map<string, LoadedRole>();
  for (const role of upwards) {
    for (const [name, entry] of Object.entries(role.file.lists ?? {})) {
      const { source } = role;
      if (source === undefined) continue;
      const key = property(nodeAt(source.root, ["lists"]), name)?.key ?? source.root;
      const definer = definedBy.get(name);
      if (Array.isArray(entry)) {
        if (definer !== undefined && !ancestorsOf(role).has(definer)) {
          source.document.report(
            key,
            `list "${name}" is also defined by role "${definer.file.role}", which this role does not extend`,
            "rename one of them",
          );
        }
        lists.set(name, entry);
        definedBy.set(name, role);
      } else if ("append" in entry) {
        const inherited = lists.get(name);
        if (inherited === undefined) {
          const meant = nearest(name, lists.keys());
          source.document.report(
            key,
            `no inherited list "${name}" to append to`,
            meant === undefined ? "define it as an array" : `did you mean "${meant}"?`,
          );
        } else lists.set(name, [...inherited, ...entry.append.filter((item) => !inherited.includes(item))]);
      }
    }
  }
  return lists;
}

/** A condition as plain JSON. */
export function plainOf(placed: Placed): unknown {
  const value: unknown = getNodeValue(placed.node);
  return value;
}
