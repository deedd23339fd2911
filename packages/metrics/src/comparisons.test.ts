import { describe, expect, test } from 'vitest';
import { asNumber, asText, defaultComparisons } from './comparisons.js';

describe('asNumber', () => {
  test.each([
    ['0.5', '1/2', true],
    ['\\frac{2}{4}', '0.50', true],
    ['1,000', '1000', true],
    ['0.333', '1/3', false],
    ['0.3333333333333333', '1/3', false],
    ['0.1', '0.10000000000000000001', false],
    ['-5', '5', false],
    ['x', 'x', false],
  ])('%s and %s: %s', (a, b, want) => {
    expect(asNumber.equal(a, b)).toBe(want);
    expect(asNumber.equal(b, a)).toBe(want);
  });

  test.each([
    ['50%', '50%', true],
    ['50%', '0.5', true],
    ['50%', '50', true],
    ['100%', '1', true],
    ['0.5%', '0.005', true],
    ['0.5%', '0.5', false],
    ['1%', '1', false],
    ['50%', '5', false],
    ['50%', '5000', false],
  ])('percentages: %s and %s: %s', (a, b, want) => {
    expect(asNumber.equal(a, b)).toBe(want);
    expect(asNumber.equal(b, a)).toBe(want);
  });
});

describe('asText', () => {
  test.each([
    ['7 \\pi', '7\\pi', true],
    ['( 3 , 4 )', '(3,4)', true],
    ['x^{2}', 'x^2', true],
    ['(C)', 'C', true],
    ['x^{23}', 'x^23', false],
    ['Evelyn', 'evelyn', true],
    ['AB', 'ab', false],
    ['1 2', '12', false],
    ['no where', 'nowhere', false],
    ['1, 200', '1,200', false],
    ['(1, 200)', '1,200', false],
    ['(a)', 'a', false],
    ['NaN', 'NaN', false],
    ['nan', 'nan', false],
    ['-nan', '-nan', false],
  ])('%s and %s: %s', (a, b, want) => {
    expect(asText.equal(a, b)).toBe(want);
    expect(asText.equal(b, a)).toBe(want);
  });
});

test('the default order', () => {
  expect(defaultComparisons.map(({ name }) => name)).toEqual(['a number', 'text', 'an expression']);
});
