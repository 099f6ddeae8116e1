// Arguments as a record shows them: any user can make them long, and every record of them is stored and sent.

/**
 * The first arguments, together about `limit` characters; what is missing is shown by `...`. The same list if nothing
 * is missing.
 */
export function boundedArguments(args: readonly string[], limit: number): readonly string[] {
  let left = limit;
  for (const [i, arg] of args.entries()) {
    const room = left;
    left -= arg.length + 1;
    if (left < 0) return [...args.slice(0, i), boundedText(arg, room)];
  }
  return args;
}

/**
 * The first `limit` characters of a text, and `...` if that is not all of it. A copy: in JavaScriptCore a slice would
 * keep the whole text in memory.
 */
export function boundedText(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${Buffer.from(text.slice(0, limit), "utf16le").toString("utf16le")}...`;
}
