// Loads policies by name or path. With any error, nothing is loaded.
import { basename, dirname, join } from "node:path";
import { defaultEnvironmentNames } from "../vocabulary/environment.ts";
import { hintOf, messageOf } from "../vocabulary/errors.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { allSteps, type Steps } from "../vocabulary/steps.ts";
import { compilingPolicy, type PlacedRule, placedRule, readingRules } from "./compile-policy.ts";
import { DIGESTS_LIMIT } from "./content-digests.ts";
import { Document, elements, nodeAt, type PolicyError } from "./document.ts";
import { NamedFiles } from "./named-files.ts";
import type { Policy } from "./policy.ts";
import { type LoadedRole, preorder, resolve } from "./resolve.ts";
import { BASELINE_LIMIT, baselineBeside, type RoleBaseline, readingRoleBaseline } from "./role-baseline.ts";
import type { EnvironmentNames } from "./rule-names.ts";
import { readRoleFile } from "./schema.ts";
import { digestOf, type SignedFile } from "./signature.ts";
import { checkTests } from "./test-lineage.ts";
import { Signatures, type Trust } from "./trust.ts";

export type { PolicyError };

export interface PolicySources {
  /**
   * Reads a file of at most `limit` bytes; undefined if it does not exist. Otherwise throws a HintedError, whose message
   * continues a sentence after the file's name.
   */
  read(path: string, limit: number): Uint8Array | undefined;
  /** Role files inside the binary, by role. */
  readonly embedded: ReadonlyMap<string, string>;
  /** Folders in which a role is looked up, before the embedded ones. */
  readonly searchPath: readonly string[];
  /** The trusted keys: every file that is not embedded must be signed with one. undefined: no signature is required. */
  readonly trust?: Trust | undefined;
  /** The environment variables that rules may name; by default those that are read by default. */
  readonly environmentNames?: EnvironmentNames | undefined;
}

/** The most bytes of a role's file: UTF-8 can take several for each character that document.ts permits. */
const FILE_LIMIT = 4 << 20;

/** The directory of the administrator's roles. */
export const POLICY_FOLDER = "/etc/treewarden/policies";

export interface LoadedRoles {
  readonly policy: Policy;
  readonly role: LoadedRole;
  /** The baselines that come with the roles. */
  readonly baselines: readonly RoleBaseline[];
  /** The enabled rules in evaluation order, with their conditions: what `lint` examines. */
  readonly rules: readonly PlacedRule[];
  /** The signing time of each named policy by role, in seconds since the epoch; empty without `trust`. */
  readonly signed: ReadonlyMap<string, number>;
  readonly errors?: undefined;
}

export interface RefusedRoles {
  readonly policy?: undefined;
  readonly role?: undefined;
  readonly rules?: undefined;
  readonly errors: readonly PolicyError[];
  /** True if the reason is a missing or wrong signature, not an error in a file. */
  readonly refused: boolean;
}

export type LoadResult = LoadedRoles | RefusedRoles;

/**
 * Loads one policy, or several as one unnamed role that extends them in that order. A name with a slash or ending in
 * .json is a file; any other is a role. With any error there is no policy.
 */
export function loadPolicies(names: readonly string[], sources: PolicySources): LoadResult {
  return allSteps(loadingPolicies(names, sources));
}

/** As `loadPolicies`, a file or a rule at a time. */
export function* loadingPolicies(names: readonly string[], sources: PolicySources): Steps<LoadResult> {
  const loader = new Loader(sources);
  const roles: (LoadedRole | undefined)[] = [];
  for (const name of names) roles.push(yield* loader.loadNamed(name));
  const loaded = roles.filter((role) => role !== undefined);
  const [only] = loaded;
  if (loader.errors().length > 0 || loaded.length < roles.length || only === undefined) {
    const noPolicyGiven: PolicyError = {
      file: "policy",
      line: 0,
      column: 0,
      message: "no policy was given",
      fix: "name a role or a file",
    };
    return loader.failed(names.length === 0 ? [noPolicyGiven] : []);
  }
  const role = loaded.length === 1 ? only : together(loaded);
  for (const loadedRole of loaded) {
    checkTests(loadedRole);
    yield;
  }
  const resolved = resolve(role);
  const digests = new Set([...preorder(role)].flatMap((each) => each.digests));
  if (digests.size > DIGESTS_LIMIT)
    return loader.failed([
      {
        file: names[0] ?? "policy",
        line: 0,
        column: 0,
        message: `more than ${DIGESTS_LIMIT} digests`,
        fix: undefined,
      },
    ]);
  const rules = yield* readingRules(resolved, sources.environmentNames ?? defaultEnvironmentNames);
  if (loader.errors().length > 0) return loader.failed();
  const baselines = [...preorder(role)].flatMap(({ baseline }) => baseline ?? []);
  const placed = rules.flatMap((rule) => placedRule(rule) ?? []);
  const policy = yield* compilingPolicy(role, resolved, placed, digests);
  return { policy, role, baselines, rules: placed, signed: loader.signed };
}

function together(parents: readonly LoadedRole[]): LoadedRole {
  const role = parents.map(({ file }) => file.role).join("+");
  return { file: { role }, source: undefined, parents, files: [], baseline: undefined, digests: [] };
}

/** The files of a role and its ancestors. */
export function filesOf(role: LoadedRole): readonly SignedFile[] {
  return [...preorder(role)].flatMap(({ files }) => files);
}

interface Found {
  readonly place: string;
  readonly text: string;
  /** undefined for a file inside the binary. */
  readonly digest: string | undefined;
}

/** Why no file of a name is loaded. */
interface NotFound {
  readonly problem: string;
  readonly fix?: string | undefined;
}

type Fail = (message: string, fix?: string) => void;

function isRoleName(name: string): boolean {
  return !name.endsWith(".json") && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name);
}

class Loader {
  private readonly sources: PolicySources;
  private readonly documents: Document[] = [];
  private readonly failures: PolicyError[] = [];
  /** By place; undefined while a role is being read, or if it has errors. */
  private readonly roles = new Map<string, LoadedRole | undefined>();
  private readonly holders = new Map<string, string>();
  private readonly signatures: Signatures | undefined;

  constructor(sources: PolicySources) {
    this.sources = sources;
    this.signatures = sources.trust === undefined ? undefined : new Signatures(sources.trust);
  }

  get signed(): ReadonlyMap<string, number> {
    return this.signatures?.signed ?? new Map();
  }

  failed(further: readonly PolicyError[] = []): RefusedRoles {
    return { errors: [...further, ...this.errors()], refused: this.signatures?.refused ?? false };
  }

  errors(): PolicyError[] {
    return [...this.failures, ...this.documents.flatMap((document) => document.errors)];
  }

  /** Loads a policy that was named directly. With `trust`, it must have a signature of its own. */
  *loadNamed(name: string): Steps<LoadedRole | undefined> {
    const fail = (message: string, fix?: string): void =>
      void this.failures.push({ file: name, line: 0, column: 0, message, fix });
    const found = this.find(name, undefined);
    if ("problem" in found) {
      fail(found.problem, found.fix ?? this.besideFix(name) ?? this.findFix(name));
      return undefined;
    }
    const { signatures, sources } = this;
    const { place, digest } = found;
    const isEmbedded = digest === undefined;
    if (isEmbedded && signatures?.permitsEmbedded(name, fail) === false) return undefined;
    if (!isEmbedded && signatures?.open(place, (path, limit) => sources.read(path, limit), fail) === false)
      return undefined;
    const role = yield* this.load(name, found, fail, []);
    if (role !== undefined && !isEmbedded && this.errors().length === 0)
      signatures?.check(place, role.file.role, filesOf(role), fail);
    return role;
  }

  /** `fail` reports an error where the policy was named; `open` lists the places of the roles being loaded. */
  private *load(
    name: string,
    found: Found,
    fail: Fail,
    open: readonly string[],
  ): Steps<LoadedRole | undefined> {
    const { place, digest } = found;
    if (open.includes(place)) {
      fail(
        `"${name}" extends itself: ${[...open.slice(open.indexOf(place)), place].map((path) => basename(path)).join(" > ")}`,
        "a role of the same name as its parent needs a name of its own",
      );
      return undefined;
    }
    if (this.roles.has(place)) return this.roles.get(place);
    if (digest !== undefined && this.signatures?.covers(digest) === false) {
      fail(`${place} is not as it was signed`, "sign it again, or put back what was signed");
      this.roles.set(place, undefined);
      return undefined;
    }
    const role = yield* this.read(found, [...open, place]);
    this.roles.set(place, role);
    return role;
  }

  private find(name: string, beside: string | undefined): Found | NotFound {
    const isFile = name.includes("/") || name.endsWith(".json");
    if (!isFile && !isRoleName(name)) return { problem: `"${name}" is neither a role nor a file` };
    const places: string[] = [];
    if (isFile) places.push(name.startsWith("/") || beside === undefined ? name : join(beside, name));
    else {
      if (beside !== undefined) places.push(join(beside, `${name}.json`));
      for (const folder of this.sources.searchPath) places.push(join(folder, `${name}.json`));
    }
    for (const place of places) {
      let bytes: Uint8Array | undefined;
      try {
        bytes = this.sources.read(place, FILE_LIMIT);
      } catch (error) {
        return { problem: `${place} ${messageOf(error)}`, fix: hintOf(error) };
      }
      if (bytes !== undefined) return { place, text: utf8.decode(bytes), digest: digestOf(bytes) };
    }
    const text = isFile ? undefined : this.sources.embedded.get(name);
    if (text !== undefined) return { place: `embedded:${name}.json`, text, digest: undefined };
    return { problem: isFile ? "there is no such file" : `there is no role "${name}"` };
  }

  /** The hint for a role name when the working directory has a file of that role. */
  private besideFix(name: string): string | undefined {
    if (!isRoleName(name)) return undefined;
    try {
      const path = `./${name}.json`;
      return this.sources.read(path, FILE_LIMIT) === undefined ? undefined : `did you mean ${path}?`;
    } catch {
      return undefined;
    }
  }

  private findFix(name: string): string | undefined {
    if (name.includes("/") || name.endsWith(".json")) return undefined;
    const meant = nearest(name, this.sources.embedded.keys());
    const where = [...this.sources.searchPath, "the roles that come with treewarden"].join(", then ");
    return meant === undefined
      ? `looked in ${where}: ${[...this.sources.embedded.keys()].join(", ")}`
      : `did you mean "${meant}"?`;
  }

  private *read({ place, text, digest }: Found, open: readonly string[]): Steps<LoadedRole | undefined> {
    const document = new Document(place, text, digest === undefined);
    this.documents.push(document);
    const root = document.parse();
    yield;
    const file = root === undefined ? undefined : readRoleFile(document, root);
    yield;
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
    const beside = digest === undefined ? undefined : dirname(place);
    const nodes = elements(nodeAt(root, ["extends"]));
    const parents: LoadedRole[] = [];
    for (const [i, name] of (file.extends ?? []).entries()) {
      const node = nodes[i] ?? root;
      const fail: Fail = (message, fix) => document.report(node, message, fix);
      const found = this.find(name, beside);
      if ("problem" in found) fail(found.problem, found.fix ?? this.findFix(name));
      const parent = "problem" in found ? undefined : yield* this.load(name, found, fail, open);
      if (parent !== undefined) parents.push(parent);
    }
    const baseline = digest === undefined ? undefined : yield* this.baselineOf(file.role, place);
    const files: SignedFile[] = [];
    if (digest !== undefined) files.push({ kind: "policy", role: file.role, digest });
    if (baseline !== undefined) files.push({ kind: "baseline", role: file.role, digest: baseline.digest });
    const named = new NamedFiles({
      role: file.role,
      folder: beside,
      read: (path, limit) => this.sources.read(path, limit),
      covers: (fileDigest) => this.signatures?.covers(fileDigest) !== false,
      failures: this.failures,
    });
    const digests = yield* named.readingDigests(file.digests ?? [], document, root);
    const lists = yield* named.readingLists(file.lists ?? {}, document, root);
    files.push(...named.files);
    const source = { document, root };
    return { file: { ...file, lists }, source, parents, files, baseline, digests };
  }

  /** The baseline beside a role's file; undefined if there is none, or after reporting why it was refused. */
  private *baselineOf(role: string, place: string): Steps<RoleBaseline | undefined> {
    const path = baselineBeside(place);
    const fail = (line: number, message: string, fix: string | undefined): void =>
      void this.failures.push({ file: path, line, column: Math.min(line, 1), message, fix });
    let bytes: Uint8Array | undefined;
    try {
      bytes = this.sources.read(path, BASELINE_LIMIT);
    } catch (error) {
      fail(0, messageOf(error), hintOf(error));
    }
    if (bytes === undefined) return undefined;
    const digest = digestOf(bytes);
    if (this.signatures?.covers(digest) === false) {
      fail(0, "it is not as it was signed", "sign the policy again, or put back what was signed");
      return undefined;
    }
    const result = yield* readingRoleBaseline(role, path, digest, bytes);
    if ("digest" in result) return result;
    const fix = `after an edit by hand delete its digest line, then: treewarden baseline merge ${path} --role ${role} --out ${path}`;
    for (const [i, { line, message }] of result.entries()) fail(line, message, i === 0 ? fix : undefined);
    return undefined;
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
