// Checks the mail addresses that alarms are sent to.

/**
 * True for addresses such as `root` or `alarm@example.org`. They need no quotes, and no implementation of sendmail can
 * take them for an option, a second address, a program or a header.
 */
export function isMailbox(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,252})?$/.test(text);
}
