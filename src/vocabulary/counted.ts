// Numbers with their noun, for people.

/** `1 tree`, `2 trees`. Only for nouns whose plural is formed with an s. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
