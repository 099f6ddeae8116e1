// Words of commands that treewarden suggests and a person pastes into a shell. They may hold names that an attacker chose.

/** `text` as one word of a POSIX shell, in single quotes unless it is harmless. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
