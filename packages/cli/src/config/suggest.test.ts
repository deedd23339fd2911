import { expect, test } from 'vitest';
import { editDistance, suggest } from './suggest.js';

test('edit distances worked by hand', () => {
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('kitten', 'sitting')).toBe(3);
  expect(editDistance('stpes', 'steps')).toBe(1); // two neighbours swapped
  expect(editDistance('abc', 'abc')).toBe(0);
});

test('suggests the nearest word, and none when nothing is near', () => {
  expect(suggest('learningrate', ['warmup', 'learningRate'])).toBe('learningRate');
  expect(suggest('step', ['samples', 'steps'])).toBe('steps');
  expect(suggest('zzz', ['samples', 'steps'])).toBeUndefined();
  expect(suggest('x', [])).toBeUndefined();
});
