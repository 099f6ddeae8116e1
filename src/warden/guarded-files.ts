// Notices when somebody changes a file on which treewarden depends: its executable, its unit, configuration, policies, keys
// and what root has decided. inotify(7) does not report who did it.
import { readlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { EXCLUSIONS, IN_FORCE, LEARNING_KEY } from "../baseline/file-names.ts";
import { OVERRIDES_FOLDER } from "../enforcement/overrides.ts";
import { type EntryChange, FolderWatch } from "../linux/inotify.ts";
import { POLICY_FOLDER } from "../policy/load.ts";

/** The folder of configuration and policies. */
const CONFIGURATION_FOLDER = dirname(POLICY_FOLDER);
const UNIT = "treewarden.service";
/** systemd.unit(5): where a unit and its drop-ins may lie. */
const unitFolders = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];
/** OpenRC's script. */
const INIT_SCRIPT = "/etc/init.d/treewarden";
/** Every entry of a folder but those that are about to replace another one (writeFileAtomic in linux/files.ts). */
const ALL = "*";
const TEMPORARY = ".new";

export interface GuardedFileSettings {
  readonly stateDirectory: string;
  /** The file of the configuration, if there is one. */
  readonly configuration: string | undefined;
  /** Roles or files; a role is no path. */
  readonly policies: readonly string[];
  readonly keys: readonly string[];
}

export class GuardedFiles implements Disposable {
  private readonly watch = new FolderWatch();
  private readonly onChange: (path: string, change: EntryChange) => void;
  private entries: ReadonlyMap<string, ReadonlySet<string>> = new Map();

  constructor(onChange: (path: string, change: EntryChange) => void) {
    this.onChange = onChange;
  }

  /** Readable when an entry of a watched folder has changed. */
  get fd(): number {
    return this.watch.fd;
  }

  /** Watches the files of these settings from now on. To be called again when a folder may have been made. */
  apply(settings: GuardedFileSettings): void {
    this.entries = watchedEntries(settings);
    for (const folder of this.entries.keys()) this.watch.add(folder);
  }

  /** Passes some of the changes that wait. */
  take(): void {
    this.watch.take((folder, name, change) => {
      const names = this.entries.get(folder);
      const isWatched = names?.has(name) === true || (names?.has(ALL) === true && !name.endsWith(TEMPORARY));
      if (!isWatched) return;
      const path = join(folder, name);
      // A folder that was missing is there now.
      if (this.entries.has(path)) this.watch.add(path);
      this.onChange(path, change);
    });
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
  }
}

/** The watched entries of each folder. */
function watchedEntries(settings: GuardedFileSettings): ReadonlyMap<string, ReadonlySet<string>> {
  const { stateDirectory, configuration, policies, keys } = settings;
  const files = [
    readlinkSync("/proc/self/exe"),
    INIT_SCRIPT,
    ...unitFolders.flatMap((folder) => {
      const unit = join(folder, UNIT);
      return [unit, `${unit}.d`, join(`${unit}.d`, ALL)];
    }),
    CONFIGURATION_FOLDER,
    join(CONFIGURATION_FOLDER, ALL),
    join(POLICY_FOLDER, ALL),
    ...(configuration === undefined ? [] : [configuration]),
    ...policies.filter((policy) => policy.startsWith("/")),
    ...keys,
    ...[IN_FORCE, EXCLUSIONS, LEARNING_KEY].map((name) => join(stateDirectory, name)),
    join(stateDirectory, OVERRIDES_FOLDER, ALL),
  ];
  const entries = new Map<string, Set<string>>();
  for (const file of files) {
    const folder = dirname(file);
    entries.set(folder, (entries.get(folder) ?? new Set()).add(basename(file)));
  }
  return entries;
}
