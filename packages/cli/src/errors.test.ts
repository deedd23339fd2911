import { expect, test } from 'vitest';
import { describeError, messageOf } from './errors.js';

test('a heap of WebAssembly that is full is told as such, on one line, with a cure', () => {
  const error = Object.assign(new Error('Aborted(). Build with -sASSERTIONS for more info.'), { name: 'RuntimeError' });
  const told =
    /^engine wasm: expected memory .* got "Aborted\(\).*": most likely its 4 GB are used up; choose the engine native/;
  expect(messageOf(error)).toMatch(told);
  expect(describeError(error)).toMatch(told);
  expect(messageOf(new RangeError('x: expected 1, got 2'))).toBe('x: expected 1, got 2');
  expect(messageOf('text')).toBe('text');
});
