/** At most this many characters, counted from the end, are searched for a box. */
const searchLimit = 100_000;

const boxStart = /\\(?:boxed|fbox)\s*\{/y;

/**
 * The content of the last `\boxed{...}` or `\fbox{...}` of a text, or undefined when there is none.
 *
 * Braces nest; `\{` and `\}` are characters, not braces. Of boxes inside a closed box the outer one counts. When the
 * last box is never closed, as in an answer cut short, there is no answer: an earlier box is not taken in its place.
 * The command without braces (`\boxed 5`) is no box.
 *
 * One pass, linear in the length, over the last 100,000 characters: the text may come from a model and be anything.
 *
 * @example lastBoxed('so \\boxed{\\frac{1}{2}}.') // '\\frac{1}{2}'
 */
export function lastBoxed(text: string): string | undefined {
  const tail = text.slice(-searchLimit);
  const open: { contentStart: number; box: boolean }[] = [];
  let last: { start: number; end: number } | undefined;
  let at = 0;
  while (at < tail.length) {
    const character = tail[at];
    if (character === '\\') {
      boxStart.lastIndex = at;
      if (boxStart.test(tail)) {
        at = boxStart.lastIndex;
        open.push({ contentStart: at, box: true });
      } else {
        at += 2; // a backslash takes the next character with it
      }
      continue;
    }
    if (character === '{') open.push({ contentStart: at + 1, box: false });
    if (character === '}') {
      const closed = open.pop();
      if (closed?.box) last = { start: closed.contentStart, end: at }; // closes after, so encloses or follows, any before
    }
    at++;
  }
  if (last === undefined) return undefined;
  const { start, end } = last;
  const cutShort = open.some(({ box, contentStart }) => box && contentStart > end);
  return cutShort ? undefined : tail.slice(start, end);
}
