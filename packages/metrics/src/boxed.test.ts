import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lastBoxed } from './boxed.js';

describe('lastBoxed', () => {
  test.each([
    ['so \\boxed{5}.', '5'],
    ['\\boxed{1} then \\boxed{2}', '2'],
    ['\\boxed{\\frac{1}{2}}', '\\frac{1}{2}'],
    ['\\fbox{7}', '7'],
    ['\\boxed {7}', '7'],
    ['\\boxed{}', ''],
    ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'],
    ['\\boxed{[0, 1\\}}', '[0, 1\\}'],
    ['{\\boxed{5}}} }', '5'],
    ['{ \\boxed{5}', '5'],
    ['\\boxed{\\boxed{3}}', '\\boxed{3}'],
    ['\\boxed{1+\\boxed{3}}', '1+\\boxed{3}'],
    ['\\boxed{\\boxed{3}', '3'], // the outer one was begun for the model and never closed
    ['a \\\\boxed{4}', undefined], // a line end, then the word
    ['\\boxed{3} and \\boxed{4', undefined],
    ['\\boxed{3', undefined],
    ['\\boxed{ {3 }', undefined],
    ['\\boxed 5', undefined],
    ['\\boxedset{5}', undefined],
    ['boxed{5}', undefined],
    ['', undefined],
    ['\\', undefined],
  ])('%j -> %j', (text, want) => {
    expect(lastBoxed(text)).toBe(want);
  });

  test('finds any content with balanced braces, whatever stands around it', () => {
    const words = fc.string({ unit: fc.constantFrom('a', '1', ' ', '+', '\\{', '\\pi ') });
    const content = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        words,
        fc.tuple(words, tie('tree'), words).map(([a, b, c]) => `${a}{${b}}${c}`),
      ),
    })).tree;
    fc.assert(
      fc.property(words, content, words, (before, inside, after) => {
        expect(lastBoxed(`${before}\\boxed{0}\\boxed{${inside}}${after}`)).toBe(inside);
      }),
    );
  });

  test.each([
    ['openings', '\\boxed{'.repeat(2e6)],
    ['commands without braces', '\\boxed '.repeat(2e6)],
    ['spaces', `\\boxed${' '.repeat(2e7)}`],
    ['braces', '{'.repeat(1e7) + '}'.repeat(1e7)],
    ['backslashes', '\\'.repeat(2e7)],
  ])('hostile text takes no time: %s', (_, text) => {
    const start = performance.now();
    expect(lastBoxed(text)).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('an answer at the end of a very long text is found', () => {
    expect(lastBoxed(`${'{'.repeat(1e6)}\\boxed{6}`)).toBe('6');
  });
});
