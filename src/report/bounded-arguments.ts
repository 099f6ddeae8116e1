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
    if (left < 0) return [...args.slice(0, i), `${arg.slice(0, room)}...`];
  }
  return args;
}
