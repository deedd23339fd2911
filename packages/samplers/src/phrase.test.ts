import { describe, expect, test } from 'vitest';
import type { TextCodec } from './contract.js';
import { braceDepth, endsWith } from './phrase.js';

/** A codec whose ids are indices into pieces of text. */
function piecesCodec(pieces: string[]): TextCodec & { decoded: number } {
  return {
    decoded: 0,
    endIds: [],
    encode: () => [],
    decode(ids) {
      this.decoded++;
      return ids.map((id) => pieces[id]!).join('');
    },
  };
}

describe('endsWith', () => {
  const pieces = ['The', ' final', ' answer', ' is', ':', ' is:', 'er is:\n', ' answ', ' 4', ' ', '', 'x', ': 4'];
  const ends = (...ids: number[]) => endsWith(piecesCodec(pieces), 'The final answer is:')(ids);

  test('finds the phrase however tokens cut it', () => {
    expect(ends(0, 1, 2, 3, 4)).toBe(true);
    expect(ends(8, 8, 0, 1, 2, 5)).toBe(true);
    expect(ends(0, 1, 7, 6)).toBe(true); // white space inside the last token
    expect(ends(0, 10, 1, 10, 10, 2, 5)).toBe(true); // tokens without text
  });

  test('only at the end, and only whole', () => {
    expect(ends()).toBe(false);
    expect(ends(0, 1, 2, 3)).toBe(false);
    expect(ends(1, 2, 3, 4)).toBe(false);
    expect(ends(0, 1, 2, 3, 4, 8)).toBe(false);
    expect(ends(0, 1, 2, 3, 12)).toBe(false); // text after the phrase in the same token
    expect(ends(0, 1, 11, 2, 3, 4)).toBe(false);
  });

  test('white space at the end of the phrase does not matter', () => {
    expect(endsWith(piecesCodec(pieces), ' is: ')([2, 5])).toBe(true);
  });

  test('decodes no more than a token that cannot end the phrase, once', () => {
    const codec = piecesCodec(pieces);
    const check = endsWith(codec, 'The final answer is:');
    for (let i = 0; i < 10; i++) check([0, 1, 2, 11]);
    expect(codec.decoded).toBe(1);
  });

  test('refuses an empty phrase', () => {
    expect(() => endsWith(piecesCodec([]), ' ')).toThrow(
      new RangeError('endsWith: expected a phrase, got an empty string'),
    );
  });
});

describe('braceDepth', () => {
  test.each([
    ['', 0],
    ['\\boxed{', 1],
    ['\\boxed{\\frac{1', 2],
    ['\\boxed{\\frac{1}{2}', 1],
    ['\\boxed{4}', 0],
    ['{a} \\boxed{', 1],
    ['\\{', 0],
    ['{\\}', 1],
    ['{\\\\}', 0], // a line break, then the brace
  ])('%j is %i deep', (text, depth) => {
    expect(braceDepth(text)).toBe(depth);
  });

  test('from braces that are open already: 0 once they are closed, whatever follows', () => {
    expect(braceDepth('42', 1)).toBe(1);
    expect(braceDepth('\\frac{1}{2', 1)).toBe(2);
    expect(braceDepth('\\frac{1}{2}}', 1)).toBe(0);
    expect(braceDepth('42} {', 1)).toBe(0);
    expect(braceDepth('42}', 2)).toBe(1);
  });
});
