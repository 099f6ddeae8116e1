// What each setting of the configuration file means. docs/configuration.md is made from this table and from the schema,
// which knows type and default; a setting without a row is a type error.

import type { NetworkKind } from "../vocabulary/event-kinds.ts";
import type { Config, SectionName } from "./config.ts";
import { type NetworkSettingName, networkSectionTitles, networkSettings } from "./network-settings.ts";
import { outputSettings, outputTitles } from "./outputs.ts";
import type { SettingRow } from "./setting-row.ts";

/** `enforcement`, `kill.max_per_minute` and so on. */
export type SettingName =
  | Exclude<keyof Config, SectionName>
  | { readonly [S in Exclude<SectionName, "network">]: `${S}.${keyof Config[S] & string}` }[Exclude<
      SectionName,
      "network"
    >]
  | NetworkSettingName;

export const settings: Readonly<Record<SettingName, SettingRow>> = {
  policies: {
    meaning: "the roles or policy files to judge by",
    example: "[web, /etc/treewarden/policies/shop.json]",
    takesEffect: "reload",
    unset: "every file in /etc/treewarden/policies, or else the embedded role base",
  },
  policy_keys: {
    meaning:
      "files of public keys (Ed25519 in PEM). If there are any, only policies signed with one of them are loaded, and none that is older than one that was in force",
    example: "[/etc/treewarden/policy.pub]",
    takesEffect: "reload",
  },
  enforcement: {
    meaning:
      "what verdicts may do: `observe` reports what would have been killed, `kill` kills by the rules that are `armed`; `prevent` does so too, and where such a rule kills whatever a process executes, the kernel ends it before its first instruction",
    example: "kill",
    takesEffect: "reload",
  },
  armed: {
    meaning:
      "the rules that may act where `enforcement` is `kill`: patterns ROLE/RULE, in which the role is the one whose file holds the rule and `*` stands for any characters, or `all`",
    example: "[shop/shell-under-the-shop]",
    takesEffect: "reload",
    unset: "nothing acts",
  },
  armed_since_hours: {
    meaning:
      "a rule that `armed` newly names, after the first start on a host, acts only if the warden has observed it as it is now for this many hours without loss and without a hit on what the host is known to run, or once `treewarden arm --confirm` confirms it. With 0 it acts at once. `treewarden arm` asks for as much, or for `--anyway`",
    example: "0",
    takesEffect: "reload",
  },
  source: {
    meaning:
      "where events come from. `auto` takes the best that the kernel allows, and another one if that fails; a source that is named is never exchanged",
    example: "ebpf",
    takesEffect: "restart",
  },
  state_directory: {
    meaning: "where treewarden keeps its state: the baseline, the journal, the saved processes",
    example: "/srv/treewarden",
    takesEffect: "restart",
  },
  hardening: {
    meaning:
      "`required`: do not start where the kernel cannot take from each process the rights that it does not need. `best_effort`: start with a warning",
    example: "required",
    takesEffect: "restart",
  },
  events: {
    meaning:
      "which events are reported and exported: `notable` are verdicts, new trees, loss and changes; `all` adds every exec and exit",
    example: "all",
    takesEffect: "restart",
  },
  reporter_user: {
    meaning:
      "the unprivileged user that the reporter runs as; if the default user does not exist, an unused number",
    example: "treewarden",
    takesEffect: "restart",
  },
  rescue_user: {
    meaning:
      "a user (name, or id for one that is not in /etc/passwd) in whose login sessions nothing is killed, stopped or [prevented](prevention.md#safeguards), nor what they start; so that no policy locks out who has to repair it",
    example: "rescue",
    takesEffect: "restart",
  },
  "base.packages": {
    meaning:
      "packages whose programs are all `base` in a tree on this host. Programs that grant a connection or rights keep their names",
    example: "[monitoring-plugins-basic]",
    takesEffect: "restart",
  },
  "base.paths": {
    meaning: "further programs that are `base`, with all links resolved",
    example: "[/usr/local/bin/our-tool]",
    takesEffect: "restart",
  },
  "arguments.report": {
    meaning:
      "how arguments appear in the journal and in what leaves the host: as they are, with secrets replaced, or not at all",
    example: "off",
    takesEffect: "restart",
  },
  "arguments.redact": {
    meaning: "regular expressions (RE2) that match further secrets",
    example: "['acme-[0-9a-f]{16}']",
    takesEffect: "restart",
  },
  "arguments.limit": {
    meaning:
      "bytes of arguments that are read for each exec; rules see no more, and `process.args_truncated` is set",
    example: "16384",
    takesEffect: "restart",
  },
  "environment.read": {
    meaning:
      "names of the environment variables that rules may name. The environment is read at each exec while a rule in force names one of them, and not otherwise",
    example: "[LD_PRELOAD, PYTHONPATH]",
    takesEffect: "restart",
  },
  "pause.max": {
    meaning: "the longest time for which one `treewarden pause` may last",
    example: "1h",
    takesEffect: "at once",
  },
  "kill.max_per_minute": {
    meaning:
      "how many distinct offenders (user, exact tree, rule) are killed in a minute; further kill verdicts only alert. No user but root can use up more than half of it",
    example: "30",
    takesEffect: "restart",
  },
  "kill.spare_preexisting": {
    meaning:
      "never kill what a process runs that was there before treewarden's first start in this boot, until it executes something that the baseline does not know",
    example: "false",
    takesEffect: "restart",
  },
  "evidence.enabled": {
    meaning:
      "what a process has is recorded before it is killed (`process.evidence`): the tree is frozen at once, and dies when that was read",
    example: "true",
    takesEffect: "restart",
  },
  "evidence.timeout_seconds": {
    meaning: "how long a tree stands still at most for its evidence; then it is killed with what was read",
    example: "5",
    takesEffect: "restart",
  },
  "evidence.max_megabytes_per_day": {
    meaning: "how much evidence is recorded in 24 hours; further processes are killed at once, without it",
    example: "64",
    takesEffect: "restart",
  },
  "evidence.copy_up_to_megabytes": {
    meaning:
      "the largest executable that is copied to `evidence/` of the state directory before its process is killed; 0: none is",
    example: "32",
    takesEffect: "restart",
  },
  "evidence.copies_max_megabytes": {
    meaning: "room for all these copies; when it is full, no more are made until root has removed some",
    example: "4096",
    takesEffect: "restart",
  },
  "prevent.without_warden": {
    meaning:
      "how long the kernel goes on preventing and denying when no warden runs or it hangs: 15 s, longer than a restart takes, or as long as treewarden runs (`keep`)",
    example: "keep",
    takesEffect: "restart",
  },
  "prevent.max_per_minute": {
    meaning:
      "how many different programs, counted for each set of closed processes, the kernel ends in a minute; further ones are left to user space and `kill.max_per_minute`. What was ended before is ended again. No user but root, and no container, can use up more than half of it",
    example: "30",
    takesEffect: "restart",
  },
  ...networkSettings,
  "metrics.listen": {
    meaning:
      "address of the HTTP endpoint for Prometheus, /healthz and /readyz. A port that is taken is tried again",
    example: "'[::1]:9501'",
    takesEffect: "restart",
  },
  "metrics.trees": {
    meaning: "series for each tree: none, only the number of running processes, or durations too",
    example: "gauge",
    takesEffect: "restart",
  },
  "metrics.max_trees": {
    meaning: "how many trees have series of their own; beyond it they share one",
    example: "500",
    takesEffect: "restart",
  },
  "metrics.web_config": {
    meaning:
      "file of TLS and passwords for the endpoint, in the format of Prometheus's exporters: see [telemetry.md](telemetry.md#tls-and-passwords)",
    example: "/etc/treewarden/web.yaml",
    takesEffect: "restart",
    unset: "whoever can connect to the address may read",
  },
  "metrics.names": {
    meaning:
      "names of the series for each tree: prom-cnproc's `process` and `process_seconds`, treewarden's own `treewarden_tree_processes` and `treewarden_tree_duration_seconds`, or both. Over OTLP they have one name in any case",
    example: "treewarden",
    takesEffect: "restart",
  },
  "journal.max_days": {
    meaning: "how long the journal keeps a record",
    example: "365",
    takesEffect: "restart",
  },
  "journal.max_megabytes": {
    meaning: "how large the journal becomes; the oldest records go first, kills, loss and changes last",
    example: "4096",
    takesEffect: "restart",
  },
  ...outputSettings,
};

/** What each section is about. */
export const sectionTitles: Readonly<Record<SectionName | `network.${NetworkKind}`, string>> = {
  base: "Further programs that are `base` in a tree on this host",
  arguments: "Arguments: how much is read, and what leaves the host",
  environment: "Environment variables",
  pause: "`treewarden pause`: for a time nothing acts",
  kill: "Safeguards of killing",
  evidence: "Evidence of what is killed",
  prevent: "`enforcement: prevent`",
  network: "Connections, datagrams and listening sockets",
  ...networkSectionTitles,
  metrics: "Prometheus",
  journal: "The journal",
  ...outputTitles,
};
