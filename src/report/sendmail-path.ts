// The program that the reporter passes mails to. The warden knows its trees as treewarden's own.

/** The path in every mail system (Filesystem Hierarchy Standard, 4.10 and 5.6: /usr/sbin/sendmail). */
export const SENDMAIL = "/usr/sbin/sendmail";
