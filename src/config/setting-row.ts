// What is written about a setting.

export interface SettingRow {
  readonly meaning: string;
  /** A value, as it stands in the file. */
  readonly example: string;
  /** When a change takes effect: at the next command, at `treewarden reload` (SIGHUP), or at the next start. */
  readonly takesEffect: "at once" | "reload" | "restart";
  /** What holds if it is not set, for a setting that has no default value. */
  readonly unset?: string;
}
