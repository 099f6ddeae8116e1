// What the examination of an executable's file adds to the facts that the kernel reported about the process.

/** What is known about an executable's file. An absent property is unknown. */
export interface ExaminedFile {
  /** The distribution package that owns it; null if none does. */
  readonly package?: string | null | undefined;
  /** Whether no package owns it. */
  readonly unpackaged?: boolean | undefined;
  /** Whether the file differs from what its package installed. */
  readonly modified?: boolean | undefined;
  /** Digest of the content: `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string | undefined;
}
