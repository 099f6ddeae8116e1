// The program that the reporter hands mails to; the warden must know it as treewarden's own.

/** Where every mail system has it (Filesystem Hierarchy Standard, 4.10 and 5.6: /usr/sbin/sendmail). */
export const SENDMAIL = "/usr/sbin/sendmail";
