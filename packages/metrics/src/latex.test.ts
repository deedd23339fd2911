import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainLatex } from './latex.js';

describe('plainLatex', () => {
  test.each([
    ['$5$', '5'],
    ['$$5.$$', '5'],
    ['\\( 5 \\).', '5'],
    ['\\[\n9\n\\]', '9'],
    ['\\frac12', '\\frac{1}{2}'],
    ['\\dfrac 1 2', '\\frac{1}{2}'],
    ['\\tfrac{1}2', '\\frac{1}{2}'],
    ['\\cfrac1{23}', '\\frac{1}{23}'],
    ['\\left( \\frac{1}{3} \\right)', '( \\frac{1}{3} )'],
    ['\\leftarrow', '\\leftarrow'],
    ['10{,}000', '10,000'],
    ['10\\,000\\,000', '10,000,000'],
    ['10,\\!000', '10,000'],
    ['1\\,0000', '1 0000'],
    ['28\\%', '28%'],
    ['\\$5', '5'],
    ['-\\$5', '-$5'],
    ['\u22125', '-5'],
    ['\\text{Evelyn}', 'Evelyn'],
    ['\\mathrm{C}', 'C'],
    ['1\\\\ 2', '1\\\\ 2'], // a row end of a matrix
    ['...', ''],
    ['3.50', '3.50'],
  ])('%j -> %j', (text, want) => {
    expect(plainLatex(text)).toBe(want);
  });

  test('bare numbers come through unchanged', () => {
    fc.assert(fc.property(fc.integer(), (n) => plainLatex(`\\text{$${n}$}`) === String(n)));
  });

  test.each(['$', '.', ' ', '\\frac', '\\frac1', '\\text{', '{,}', '$. ', '\\('])(
    '1,000 characters of %j are quick',
    (unit) => {
      const start = performance.now();
      plainLatex(unit.repeat(1000).slice(0, 1000));
      expect(performance.now() - start).toBeLessThan(200);
    },
  );
});
