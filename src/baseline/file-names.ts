// Names of the baseline's files in the state directory. All of them belong to root.

export const FOLDER = "baseline";
/** The baseline in force. */
export const IN_FORCE = `${FOLDER}/in-force`;
export const EXCLUSIONS = `${FOLDER}/exclusions`;
/** The changes whose begin the warden has reported, and not their end: written and read by the warden. */
export const OPEN_CHANGES = `${FOLDER}/open-changes.json`;
/** Progress of the learning: written by the warden, read by commands. */
export const LEARNING_STATE = `${FOLDER}/learning.json`;
/** The key of the warden's seals on learned trees: written by the warden and read by commands. Only root can read it. */
export const LEARNING_KEY = `${FOLDER}/learning.key`;
/** The baselines of the roles in force: written by the warden, read by commands. */
export const OF_ROLES = `${FOLDER}/of-roles.json`;
