// Whom alarms are mailed to.

/**
 * `root`, `alarm@example.org`: what needs no quotes and cannot be taken for an option, a second address, a program or
 * another header, whichever program stands behind sendmail.
 */
export function isMailbox(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,252})?$/.test(text);
}
