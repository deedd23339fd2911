import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate, points } from './evaluate.js';
import { parse } from './parse.js';
import { approximate, isExact, sameValue } from './value.js';

const at = (text: string) => evaluate(parse(text)!, new Map());

describe('evaluate', () => {
  test.each([
    ['\\sin 2', Math.sin(2)],
    ['\\tan 1.5', Math.tan(1.5)],
    ['\\csc 1', 1 / Math.sin(1)],
    ['\\arctan 3', Math.atan(3)],
    ['\\tanh 0.3', Math.tanh(0.3)],
    ['\\ln 10', Math.LN10],
    ['\\log_2 10', Math.log2(10)],
    ['e^{1.7}', Math.exp(1.7)],
    ['\\exp(-2)', Math.exp(-2)],
    ['\\sqrt{2} + \\pi', Math.SQRT2 + Math.PI],
    ['\\sqrt[5]{-7}', -(7 ** (1 / 5))],
    ['2^{0.3}', 2 ** 0.3],
    ['|{-\\sqrt{2}}|', Math.SQRT2],
    ['\\cos 60^\\circ', 0.5],
  ])('%s is within its error of %d', (text, want) => {
    const { re, im, error } = approximate(at(text)!)!;
    expect(Math.hypot(re - want, im)).toBeLessThanOrEqual(error + 4 * Number.EPSILON * Math.abs(want));
    expect(error).toBeLessThan(1e-13 * Math.max(1, Math.abs(want)));
  });

  test.each([
    ['\\sqrt{\\frac{4}{9}}', 2n, 3n],
    ['8^{-2/3}', 1n, 4n],
    ['(-8)^{1/3}', -2n, 1n],
    ['\\binom{10}{3}', 120n, 1n],
    ['\\frac{100!}{98!}', 9900n, 1n],
    ['\\lfloor -2.5 \\rfloor', -3n, 1n],
    ['\\lceil \\log_2 8 \\rceil', 3n, 1n],
    ['\\gcd(12, 18) + \\max(1, 2)', 8n, 1n],
    ['\\operatorname{lcm}(4, 6)', 12n, 1n],
    ['(-1)^{10^{100}}', 1n, 1n],
    ['2^{4000} / 2^{3999}', 2n, 1n],
    ['50\\%', 1n, 2n],
  ])('%s is exactly %d/%d', (text, numerator, denominator) => {
    const value = at(text)!;
    expect(isExact(value) && sameValue(value, { numerator, denominator })).toBe(true);
  });

  test.each(['1/0', '0^0', '0^{-1}', '\\ln 0', '501!', '(1/2)!', '9^{9^{9}}', 'x', '\\arcsin 2', '10^{1000000}'])(
    '%s has no value',
    (text) => {
      expect(at(text)).toBeUndefined();
    },
  );

  test('roots of products are products of roots, to the error, and to no more', () => {
    const whole = fc.integer({ min: 2, max: 10 ** 6 });
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        expect(sameValue(at(`\\sqrt{${a * b}}`)!, at(`\\sqrt{${a}}\\sqrt{${b}}`)!)).toBe(true);
        expect(sameValue(at(`\\sqrt{${a * b + 1}}`)!, at(`\\sqrt{${a}}\\sqrt{${b}}`)!)).toBe(false);
      }),
    );
  });

  test('points tell names apart and have both signs', () => {
    const values = points(['x', 'y']).map((point) => ['x', 'y'].map((name) => approximate(point.get(name)!)!.re));
    expect(values.every(([x, y]) => x !== y)).toBe(true);
    expect(values.some(([x]) => x! < 0)).toBe(true);
    expect(new Set(values.map(([x]) => x)).size).toBeGreaterThan(10);
  });
});
