// treewarden's own processes, as its metrics name them.

export const ownProcesses = ["supervisor", "standby", "warden", "examiner", "reporter"] as const;
export type OwnProcess = (typeof ownProcesses)[number];

/** The pids of those that run. */
export type OwnPids = Readonly<Partial<Record<OwnProcess, number>>>;
