// What looking at an executable's file tells beyond what the kernel told of the process.

/** What is known of an executable's file; absent: not known. */
export interface ExaminedFile {
  /** The distribution package that owns it; null if none does. */
  readonly package?: string | null | undefined;
  readonly unpackaged?: boolean | undefined;
  /** Not as its package has it. */
  readonly modified?: boolean | undefined;
  /** Of the content: `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string | undefined;
}
