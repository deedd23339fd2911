import type { TextCodec } from './contract.js';

/**
 * Tells whether the text of some ids ends with a phrase; white space after it does not matter.
 *
 * Only ids whose own text holds the phrase's last character are worth decoding with those before them, so that the test
 * costs one look-up for nearly every token.
 *
 * @throws RangeError for an empty phrase.
 * @example const ends = endsWith(codec, 'The final answer is:'); ends(ids); // true or false
 */
export function endsWith(text: TextCodec, phrase: string): (ids: readonly number[]) => boolean {
  const last = phrase.trimEnd().at(-1);
  if (last === undefined) throw new RangeError('endsWith: expected a phrase, got an empty string');
  const mayEnd = new Map<number, boolean>();
  return (ids) => {
    const id = ids.at(-1);
    if (id === undefined) return false;
    let candidate = mayEnd.get(id);
    if (candidate === undefined) {
      candidate = text.decode([id]).includes(last);
      mayEnd.set(id, candidate);
    }
    // A token spells at least one character of the phrase or none of the text: twice the length is ample.
    return (
      candidate &&
      text
        .decode(ids.slice(-2 * phrase.length))
        .trimEnd()
        .endsWith(phrase.trimEnd())
    );
  };
}

/**
 * The depth of open braces after a text: `{` adds one, `}` takes one, `\{` and `\}` do not count.
 *
 * With `start` braces open before the text, it is 0 as soon as they are closed, whatever follows.
 *
 * @example braceDepth('\\boxed{\\frac{1'); // 2
 */
export function braceDepth(text: string, start = 0): number {
  let depth = start;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0 && start > 0) return 0;
  }
  return depth;
}
