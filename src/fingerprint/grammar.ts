// How the command line of an interpreter is read.

/** How to read an interpreter's arguments. Letters are options of one letter, which may be clustered (`-xec`). */
export interface Grammar {
  readonly kind: string;
  /** Names of the executable without its version. */
  readonly names: readonly string[];
  /** Letters that take a value: the rest of the cluster, else the next argument. */
  readonly value?: string;
  /** Letters whose value can only be the rest of the cluster (`perl -i.bak`). */
  readonly attached?: string;
  /** Letters that may have a number after them, and then further letters (`perl -0777ne`). */
  readonly digits?: string;
  /** Letters whose value is code. */
  readonly code?: string;
  /** Letters after which the first operand is code (`sh -c`). */
  readonly codeOperand?: string;
  /** Letters whose value is the script. */
  readonly file?: string;
  /** Letters whose value is a module. */
  readonly module?: string;
  /** Letters after which code comes from standard input, whatever operands there are. */
  readonly stdin?: string;
  /** Letters after which nothing is read from standard input: a server, or a word about itself. */
  readonly idle?: string;
  /** Letters after which the script is looked for in PATH. */
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
  /** What the first operand is: a script, code, a class. */
  readonly operand: "script" | "code" | "class";
  /** Only operands like these are scripts. */
  readonly scripts?: RegExp;
  /** Without an operand it reads code from standard input. */
  readonly reads: boolean;
  /** First operands that are commands: the next operand is the script, or code; of any other command nothing is known. */
  readonly commands?: { readonly [word: string]: "run" | "code" | "other" };
}
