import { loadTokenizer } from '@soft-tokens/models';
import { expect, test } from 'vitest';
import { sparkline } from './commands/generate.js';
import { entropiesOf, textStream } from './generation.js';
import { tokenizerDirectory } from './test/tools.js';

test('entropies of rows of logits, in nats', () => {
  // z = [2, 1, 0]: H = 0.8323955818 (softmax 0.66524, 0.24473, 0.09003); equal logits: log V.
  const [first, second, third] = entropiesOf([2, 1, 0, 5, 5, 5, 1e4, 0, Number.NEGATIVE_INFINITY], 3);
  expect(first).toBeCloseTo(0.8323955818, 9);
  expect(second).toBeCloseTo(Math.log(3), 12);
  expect(third).toBe(0);
});

test('bars', () => {
  expect(sparkline([0, 1, 2])).toBe('▁▅█');
  expect(sparkline([0.5])).toBe('▅'); // against 1 nat, not against itself
  expect(
    sparkline(new Array(81).fill(1))
      .split('\n')
      .map((line) => line.length),
  ).toEqual([80, 1]);
});

test('pieces of a streamed text join to the whole, no character broken', async () => {
  const tokenizer = await loadTokenizer(tokenizerDirectory);
  const stream = (ids: readonly number[], decode: (ids: readonly number[]) => string) => {
    const pieces: string[] = [];
    const { add, end } = textStream({ decode }, (piece) => pieces.push(piece));
    for (const id of ids) add(id);
    end();
    expect(pieces.join('')).toBe(decode(ids));
    return pieces;
  };
  const ids = tokenizer.encode('a 🙂🙂 – 12é');
  expect(ids.length).toBeGreaterThan(12);
  expect(stream(ids, tokenizer.decode).filter((piece) => piece.includes('\uFFFD'))).toEqual([]);
  // Bytes that never become a character, in the middle and at the end.
  const [first, second] = tokenizer.encode('🙂');
  stream([first!, second!, ...tokenizer.encode('x'), first!], tokenizer.decode);
  stream([first!, first!, first!, first!, first!, first!], tokenizer.decode);
  // Tokenizers that drop the text's leading space.
  const words = (list: readonly number[]) =>
    list
      .map((id) => ` w${id}`)
      .join('')
      .slice(1);
  expect(stream([1, 2, 3], words)).toEqual(['w1', ' w2', ' w3']);
});
