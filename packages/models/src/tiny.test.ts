import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tinyModelDirectory } from './tiny.js';
import { loadTokenizer } from './tokenizer.js';

const tokenizer = await loadTokenizer(tinyModelDirectory);
const pieces = (text: string) => tokenizer.encode(text).map((id) => tokenizer.decode([id]));

test('golden: the pieces that the Rust tokenizer gives', () => {
  const answer = [' The', ' final', ' answer', ' is', ':', ' \\', 'boxed', '{', '2', '4', '}', '<|end|>'];
  expect(pieces(answer.join(''))).toEqual(answer);
  expect(pieces(' Mia has 16 apples.')).toEqual([' Mia', ' has', ' ', '1', '6', ' apples', '.']);
  expect(pieces('\\boxed{')).toEqual(['\\', 'boxed', '{']);
  expect(pieces('3*(4-1)=')).toEqual([...'3*(4-1)=']);
});

test('any text comes back from its ids', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => tokenizer.decode(tokenizer.encode(text)) === text),
    {
      numRuns: 1000,
    },
  );
  const mixed = fc.array(
    fc.constantFrom(' apples', '<|end|>', '<|pad|>', '\n', ' ', '12', 'é', '\\boxed{', "n't", '🙂'),
  );
  fc.assert(
    fc.property(mixed, (parts) => {
      const text = parts.join('');
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }),
  );
});

test('any ids have a text, those of no token too', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 600 })), (ids) => {
      expect(typeof tokenizer.decode(ids)).toBe('string');
    }),
  );
});

test('all bytes are tokens, a digit is never part of another, and the vocabulary is small', () => {
  expect(tokenizer.maxId).toBeLessThan(512);
  for (let id = 0; id <= tokenizer.maxId; id++) {
    const token = tokenizer.decode([id]);
    if (/\d/.test(token)) expect(token).toMatch(/^\d$/);
  }
});

test('one id ends an answer, and a prompt begins with nothing', () => {
  expect(tokenizer.endIds).toEqual(tokenizer.encode('<|end|>'));
  expect(tokenizer.endIds).toHaveLength(1);
  expect(tokenizer.bosId).toBeUndefined();
  expect(tokenizer.promptIds('User:')).toEqual(tokenizer.encode('User:'));
});
