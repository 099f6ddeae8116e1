// Files of this room in the state directory, all of them root's.

export const FOLDER = "baseline";
/** The baseline in force. */
export const IN_FORCE = `${FOLDER}/in-force`;
export const EXCLUSIONS = `${FOLDER}/exclusions`;
/** How far the learning is: written by the warden, read by commands. */
export const LEARNING_STATE = `${FOLDER}/learning.json`;
/** Which baselines come with the roles in force: written by the warden, read by commands. */
export const OF_ROLES = `${FOLDER}/of-roles.json`;
