// Describes how the command line of an interpreter is parsed.

/**
 * How to parse an interpreter's arguments. Properties of type string list one-letter options, which may be clustered
 * (`-xec`).
 */
export interface Grammar {
  readonly kind: string;
  /** Names of the executable, without a version. */
  readonly names: readonly string[];
  /** A command shell: with `-c` it stands between two programs only to start the second. */
  readonly shell?: boolean;
  /** Letters that take a value: the rest of the cluster, or the next argument if the cluster ends there. */
  readonly value?: string;
  /** Letters whose value can only be the rest of the cluster (`perl -i.bak`). */
  readonly attached?: string;
  /** Letters that a number may follow, and then further letters (`perl -0777ne`). */
  readonly digits?: string;
  /** Letters whose value is code. */
  readonly code?: string;
  /** Letters that make the first operand code (`sh -c`). */
  readonly codeOperand?: string;
  /** Letters that make a shell interactive. */
  readonly interactive?: string;
  /** Letters whose value is the script. */
  readonly file?: string;
  /** Letters whose value is a module. */
  readonly module?: string;
  /** Letters that make the interpreter read code from standard input even if there are operands. */
  readonly stdin?: string;
  /** Letters that keep the interpreter from reading standard input: it serves, or prints its version or help. */
  readonly idle?: string;
  /** Letters that make the interpreter search the script in PATH. */
  readonly search?: string;
  readonly longValue?: readonly string[];
  readonly longCode?: readonly string[];
  readonly longFile?: readonly string[];
  readonly longModule?: readonly string[];
  readonly longIdle?: readonly string[];
  /** Long options begin with one `-`; there are no clusters. */
  readonly singleDash?: boolean;
  /** `+x` is an option too. */
  readonly plus?: boolean;
  /** A lone `-` ends the options instead of meaning standard input. */
  readonly dashEnds?: boolean;
  /** What the first operand is. */
  readonly operand: "script" | "code" | "class";
  /** Only operands that match are scripts. */
  readonly scripts?: RegExp;
  /** Whether the interpreter reads code from standard input if there is no operand. */
  readonly reads: boolean;
  /** First operands that are subcommands: the next operand is a script (`run`), code (`code`) or unknown (`other`). */
  readonly commands?: { readonly [word: string]: "run" | "code" | "other" };
}
