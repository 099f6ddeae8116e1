// The processes that treewarden consists of.

export const processNames = ["supervisor", "standby", "warden", "reporter", "examiner"] as const;
export type ProcessName = (typeof processNames)[number];
