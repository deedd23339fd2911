import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Rational, rationalEqual, rationalOver, rationalPower, rationalTimes } from './rational.js';

const ratio = (numerator: number | bigint, denominator: number | bigint = 1): Rational => ({
  numerator: BigInt(numerator),
  denominator: BigInt(denominator),
});
const rational = fc
  .tuple(fc.bigInt({ min: -1000n, max: 1000n }), fc.bigInt({ min: 1n, max: 1000n }))
  .map(([n, d]) => ratio(n, d));

describe('rational', () => {
  test('equality is by cross product, beyond what a float can tell apart', () => {
    expect(rationalEqual(ratio(2, 4), ratio(1, 2))).toBe(true);
    expect(rationalEqual(ratio(-1, 2), ratio(1, 2))).toBe(false);
    expect(rationalEqual(ratio(10n ** 17n), ratio(10n ** 17n + 1n))).toBe(false);
    expect(rationalEqual(ratio(333_333, 1_000_000), ratio(1, 3))).toBe(false);
  });

  test('over undoes times, and keeps the denominator positive', () => {
    fc.assert(
      fc.property(rational, rational, (a, b) => {
        fc.pre(b.numerator !== 0n);
        const quotient = rationalOver(rationalTimes(a, b), b)!;
        expect(quotient.denominator > 0n).toBe(true);
        expect(rationalEqual(quotient, a)).toBe(true);
      }),
    );
    expect(rationalOver(ratio(1), ratio(0, 5))).toBeUndefined();
  });

  test('powers', () => {
    expect(rationalPower(2n, 10n)).toEqual(ratio(1024));
    expect(rationalEqual(rationalPower(-2n, -3n)!, ratio(-1, 8))).toBe(true);
    expect(rationalPower(7n, 0n)).toEqual(ratio(1));
    expect(rationalPower(0n, 0n)).toBeUndefined();
    expect(rationalPower(0n, -1n)).toBeUndefined();
  });

  test('a power of more than 1,000 digits is not worked out', () => {
    expect(rationalPower(10n, 500n)).toEqual(ratio(10n ** 500n));
    expect(rationalPower(9n, 9n ** 9n)).toBeUndefined();
    expect(rationalPower(1n, 10n ** 900n)).toBeUndefined();
    expect(rationalPower(10n ** 600n, 2n)).toBeUndefined();
  });
});
