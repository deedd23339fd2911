/** At most this many characters, counted from the end, are searched for a box. */
export const searchLimit = 100_000;

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
  const { closed, cutShort } = boxes(tail);
  const last = closed.at(-1);
  return last === undefined || cutShort ? undefined : tail.slice(last.start, last.end);
}

/** Where a box's command begins, and its content between the braces. */
export interface Box {
  readonly command: number;
  readonly start: number;
  readonly end: number;
}

/** The outermost closed boxes in order, and whether a box is begun behind them that never closes. */
export function boxes(text: string): { closed: Box[]; cutShort: boolean } {
  const open: { command: number; start: number; box: boolean }[] = [];
  const closed: Box[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === '\\') {
      boxStart.lastIndex = at;
      if (boxStart.test(text)) {
        open.push({ command: at, start: boxStart.lastIndex, box: true });
        at = boxStart.lastIndex;
      } else {
        at += 2; // a backslash takes the next character with it
      }
      continue;
    }
    if (character === '{') open.push({ command: at, start: at + 1, box: false });
    if (character === '}') {
      const group = open.pop();
      if (group?.box) {
        while (closed.length > 0 && closed.at(-1)!.command > group.command) closed.pop(); // boxes inside this one
        closed.push({ command: group.command, start: group.start, end: at });
      }
    }
    at++;
  }
  const end = closed.at(-1)?.end ?? -1;
  return { closed, cutShort: open.some(({ box, start }) => box && start > end) };
}
