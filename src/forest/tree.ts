// What the tree of a lineage is. fingerprint/tree.ts derives it, once for each node.

export interface Tree {
  /** `tree.path` */
  readonly path: string;
  /** `tree.id`: 128 bits as 32 hexadecimal digits, see `treeId`. */
  readonly id: string;
  /** `tree.exact` */
  readonly exact: string;
  /** `tree.labels`: root to leaf, without the `/random` prefix. */
  readonly labels: readonly string[];
  /** The same for the exact tree. */
  readonly names: readonly string[];
  readonly random: boolean;
  readonly randomness: number;
  readonly entropy: number | undefined;
  readonly complete: boolean;
  readonly truncated: boolean;
  /** `tree.user_ids`: effective users root to leaf, equal neighbours collapsed; undefined if one could not be read. */
  readonly userIds: readonly number[] | undefined;
}
