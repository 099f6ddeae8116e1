// The processes that treewarden consists of.

export const processNames = ["supervisor", "standby", "warden", "reporter", "examiner"] as const;
export type ProcessName = (typeof processNames)[number];

/** The pids of those that run. */
export type OwnPids = Readonly<Partial<Record<ProcessName, number>>>;
