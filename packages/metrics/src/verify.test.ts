import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Comparison, defaultComparisons } from './comparisons.js';
import { verify } from './verify.js';

describe('verify', () => {
  test.each([
    ['7+5=12. The final answer is: \\boxed{12}', '12', '12'],
    ['\\boxed{\\dfrac{1}{2}}', '0.5', '\\dfrac{1}{2}'],
    ['\\boxed{$1,000.99}', '1000.99', '$1,000.99'],
    ['\\boxed{28\\%}', '28%', '28\\%'],
    ['\\boxed{28 pct}', '$28\\%$', '28 pct'],
    ['\\boxed{\\text{(C)}}.', '\\(\\boxed{\\text{C}}\\).', '\\text{(C)}'],
    ['\\boxed{\\boxed{3}}', '3', '\\boxed{3}'],
    ['\\boxed{\\boxed{3}', '3', '3'],
    [' 12. ', '12', '12.'],
    ['$\\frac13 $', '$1/3$', '\\frac13 '],
    ['\\boxed{1\\frac{1}{4}}', '1\\frac{1}{4}', '1\\frac{1}{4}'],
    ['\\boxed{12}', 'The sum is 5, so the answer is \\boxed{12}', '12'],
    ['12'.padStart(1e6), '12', '12'],
    ['\\boxed{6 \\text{ and } 8}', '$6 \\text{ and } 8$', '6 \\text{ and } 8'],
  ])('%s is %s', (text, gold, extracted) => {
    const verdict = verify(text, gold);
    expect(verdict).toMatchObject({ correct: true, extracted });
    expect(verdict.reason).toMatch(/^equal as (a number|text)$/);
  });

  test.each([
    ['\\boxed{12} or \\boxed{13}', '12', 'different'],
    ['\\boxed{12', '12', 'no answer'],
    ['\\boxed{12} or \\boxed{1', '12', 'no answer'],
    ['\\boxed 12', '12', 'no answer'],
    ['', '12', 'no answer'],
    ['  ', '12', 'no answer'],
    ['\\boxed{}', '12', 'empty answer'],
    ['\\boxed{$.$}', '12', 'empty answer'],
    ['\\boxed{NaN}', 'NaN', 'different'],
    ['\\boxed{2021}', '$\\pm 2021$', 'different'],
    ['\\boxed{12.0001}', '12', 'different'],
    ['\\boxed{1,2}', '12', 'different'],
    ['\\boxed{-12}', '12', 'different'],
    ['\\boxed{12, 13}', '12', 'different'],
    [`\\boxed{${'1'.repeat(1001)}}`, '12', 'longer than 1000 characters'],
    ['x'.padStart(1e6), '12', 'no answer'],
  ])('%j is not %s: %s', (text, gold, reason) => {
    expect(verify(text, gold)).toMatchObject({ correct: false, reason });
  });

  test('every integer equals itself and no other', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(verify(`\\boxed{${a}}`, String(a)).correct).toBe(true);
        expect(verify(`\\boxed{${a}}`, String(b)).correct).toBe(a === b);
      }),
    );
  });

  test('another comparison is one more entry', () => {
    const upToCase: Comparison = { name: 'text in any case', equal: (a, b) => a.toLowerCase() === b.toLowerCase() };
    expect(verify('\\boxed{ab}', 'AB').correct).toBe(false);
    expect(verify('\\boxed{ab}', 'AB', [...defaultComparisons, upToCase])).toEqual({
      correct: true,
      extracted: 'ab',
      reason: 'equal as text in any case',
    });
  });

  test('never throws, and never accepts, whatever a model writes', () => {
    const unit = fc.constantFrom(
      '\\boxed{',
      '{',
      '}',
      '\\',
      '$',
      '9',
      '^',
      ',',
      '.',
      '/',
      '\\frac',
      '-',
      '%',
      ' ',
      'x',
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 60 }), (text) => {
        expect(verify(text, 'the gold answer').correct).toBe(false);
      }),
    );
  });

  test.each(['\\boxed{', '9^', '\\frac{', '$', '{,}', '. '])('a million times %j takes no time', (unit) => {
    const start = performance.now();
    expect(verify(unit.repeat(1e6), '5').correct).toBe(false);
    expect(verify(`\\boxed{${unit.repeat(100)}}`, '5').correct).toBe(false);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('a gold answer that is none is an error', () => {
    expect(() => verify('\\boxed{1}', '')).toThrow('expected a gold answer, got ""');
    expect(() => verify('\\boxed{1}', '\\boxed{}')).toThrow(RangeError);
    expect(() => verify('\\boxed{1}', '1'.repeat(1001))).toThrow('got 1001');
  });
});
