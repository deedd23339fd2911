import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseNumber } from './numberText.js';
import { rationalEqual } from './rational.js';

/** The number as "a/b" in lowest terms, with % where stated. */
function read(text: string): string | undefined {
  const stated = parseNumber(text);
  if (stated === undefined) return undefined;
  let [a, b] = [stated.value.numerator, stated.value.denominator];
  while (b !== 0n) [a, b] = [b, a % b];
  const divisor = a < 0n ? -a : a;
  const { numerator, denominator } = stated.value;
  return `${numerator / divisor}/${denominator / divisor}${stated.percent ? '%' : ''}`;
}

describe('parseNumber', () => {
  test.each([
    ['5', '5/1'],
    ['-5', '-5/1'],
    ['- 5', '-5/1'],
    ['+5', '5/1'],
    ['007', '7/1'],
    ['0.50', '1/2'],
    ['-.25', '-1/4'],
    ['1,000', '1000/1'],
    ['1,234,567.5', '2469135/2'],
    ['$1,000.99', '100099/100'],
    ['-$5', '-5/1'],
    ['10/4', '5/2'],
    ['-10/9', '-10/9'],
    ['10 / -9', '-10/9'],
    ['-\\frac{10}{9}', '-10/9'],
    ['\\frac{-10}{-9}', '10/9'],
    ['\\frac{1.5}{2}', '3/4'],
    ['(5)', '5/1'],
    ['( \\frac{1}{3} )', '1/3'],
    ['{5}', '5/1'],
    ['50%', '50/1%'],
    ['50 percent', '50/1%'],
    ['50 pct', '50/1%'],
    ['2^{10}', '1024/1'],
    ['-2^2', '-4/1'],
    ['2^{-1}', '1/2'],
    ['1.5 \\times 10^{3}', '1500/1'],
    ['3\\cdot10^5', '300000/1'],
  ])('%s is %s', (text, want) => {
    expect(read(text)).toBe(want);
  });

  test.each([
    '',
    '-',
    '.',
    'NaN',
    'Infinity',
    '\\infty',
    '1e5',
    '0x10',
    '1 2',
    '1,00',
    '1,0000',
    '0,123',
    '1000,99',
    '1,2,3',
    '1, 200',
    '(1,200)',
    '1.2.3',
    '1.',
    '--5',
    '+-5',
    '1/0',
    '1/2/3',
    '\\frac{1}{0}',
    '1\\frac{1}{4}',
    '1 1/4',
    '1+1',
    '2^10',
    '0^{0}',
    '9^{9^{9}}',
    '9^9^9',
    '9^{999999999}',
    '2 \\times 3',
    '5 apples',
    '٣',
    '5\n6',
  ])('%j is not read', (text) => {
    expect(parseNumber(text)).toBeUndefined();
  });

  test('reads every integer, with and without separators, and every fraction exactly', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
        fc.bigInt({ min: 1n, max: 10n ** 30n }),
        (a, b) => {
          const whole = { numerator: a, denominator: 1n };
          expect(rationalEqual(parseNumber(a.toString())!.value, whole)).toBe(true);
          expect(rationalEqual(parseNumber(a.toLocaleString('en-US'))!.value, whole)).toBe(true);
          expect(rationalEqual(parseNumber(`${a}/${b}`)!.value, { numerator: a, denominator: b })).toBe(true);
          expect(rationalEqual(parseNumber(`\\frac{${a}}{${b}}`)!.value, { numerator: a, denominator: b })).toBe(true);
        },
      ),
    );
  });

  test('agrees with Number on decimals', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 0, max: 999 }), (whole, decimals) => {
        const { numerator, denominator } = parseNumber(`${whole}.${decimals}`)!.value;
        expect(Number(numerator) / Number(denominator)).toBe(Number(`${whole}.${decimals}`));
      }),
    );
  });

  test.each(['9', ',999', '1/', '9^', ' ', '(', '$', '-', '%'])('1,000 characters of %j are quick', (unit) => {
    const start = performance.now();
    parseNumber(unit.repeat(1000).slice(0, 1000));
    expect(performance.now() - start).toBeLessThan(200);
  });
});
