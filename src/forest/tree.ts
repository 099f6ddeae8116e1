// The tree of a lineage. fingerprint/tree.ts derives it once for each node.

/** The properties of a tree; a comment in backquotes names the variable of policies. */
export interface Tree {
  /** `tree.path` */
  readonly path: string;
  /** `tree.id`: 128 bits as 32 hexadecimal digits, see `treeId`. */
  readonly id: string;
  /** `tree.exact` */
  readonly exact: string;
  /**
   * `tree.habit`: the exact tree without those proper ancestors that are a shell given its code by `-c`. Baselines
   * compare it, because whether such a shell stays depends on the shell and on the command's place in the code.
   */
  readonly habit: string;
  /** `tree.labels`: root to leaf, without the `/random` prefix. */
  readonly labels: readonly string[];
  /** The labels of the exact tree. */
  readonly names: readonly string[];
  /** The labels of the habit. */
  readonly habitNames: readonly string[];
  readonly random: boolean;
  /** A name in the lineage was not scored, because its user makes too many new ones: the tree is not remembered. */
  readonly unscored: boolean;
  readonly randomness: number;
  readonly entropy: number | undefined;
  readonly complete: boolean;
  readonly truncated: boolean;
  /** `tree.user_ids`: effective users from root to leaf, equal neighbours collapsed; undefined if one is unknown. */
  readonly userIds: readonly number[] | undefined;
}
