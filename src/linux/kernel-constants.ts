// Numbers of the kernel's headers that more than one room needs.

/** linux/limits.h: the longest path in bytes, its terminating NUL included. */
export const PATH_MAX = 4096;

/** linux/audit.h: AUDIT_UID_UNSET and AUDIT_SID_UNSET, a login user or session that was never set. */
export const AUDIT_UNSET = 0xffff_ffff;

/** linux/proc_ns.h: the inodes of the user, pid and time namespaces that the host itself is in. */
export const PROC_USER_INIT_INO = 0xefff_fffd;
export const PROC_PID_INIT_INO = 0xefff_fffc;
export const PROC_TIME_INIT_INO = 0xefff_fffa;
