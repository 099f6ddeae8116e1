// Somebody who keeps a sensor's objects of the kernel while no process of the sensor runs: for the warden, the supervisor.

/** Open descriptors, and what they are of: a text that only a sensor understands. */
export interface KeptObjects {
  readonly description: string;
  readonly descriptors: readonly number[];
}

export interface ObjectKeeper {
  /** The version of treewarden: what another one has left is not used. */
  readonly build: string;
  /** What an earlier process has left, once: the descriptors belong to the caller. Undefined if there is nothing. */
  readonly takeLeft: () => KeptObjects | undefined;
  /** Keeps copies of these descriptors from now on, and of no others. */
  readonly keep: (objects: KeptObjects) => void;
}
