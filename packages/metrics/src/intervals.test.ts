import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { binomialStandardError, meanInterval, wilsonInterval } from './intervals.js';

describe('meanInterval', () => {
  test('golden, by hand: 1, 2, 3 with t(0.975, 2) = 4.302652730', () => {
    // The table of Student's t gives 4.303 for 2 degrees of freedom; sd = 1, half width 4.302652730 / √3.
    const got = meanInterval([1, 2, 3]);
    expect(got).toMatchObject({ mean: 2, sd: 1, n: 3 });
    expect(got.low).toBeCloseTo(2 - 2.484137711, 8);
    expect(got.high).toBeCloseTo(2 + 2.484137711, 8);
  });

  test.each([
    // Two-sided 95 % points as printed in tables of Student's t: 12.706, 2.262, 2.045 for 1, 9, 29 degrees of freedom.
    [2, 12.706],
    [10, 2.262],
    [30, 2.045],
  ])('n = %i uses the table value %d', (n, t) => {
    const values = Array.from({ length: n }, (_, i) => i);
    const { mean, high, sd } = meanInterval(values);
    expect(((high - mean) * Math.sqrt(n)) / sd).toBeCloseTo(t, 3);
  });

  test('one value has no interval', () => {
    expect(meanInterval([0.5])).toEqual({ mean: 0.5, low: Number.NaN, high: Number.NaN, sd: Number.NaN, n: 1 });
  });

  test('shift and scale', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 12 }), (values) => {
        const base = meanInterval(values);
        const moved = meanInterval(values.map((v) => 3 * v + 7));
        expect(moved.low).toBeCloseTo(3 * base.low + 7, 8);
        expect(moved.high).toBeCloseTo(3 * base.high + 7, 8);
      }),
    );
  });

  test('errors', () => {
    expect(() => meanInterval([])).toThrow('at least one value');
    expect(() => meanInterval([1, Number.NaN])).toThrow('got NaN at index 1');
    expect(() => meanInterval([Number.POSITIVE_INFINITY])).toThrow(RangeError);
  });
});

describe('binomialStandardError', () => {
  test('golden, by hand', () => {
    expect(binomialStandardError(50, 100)).toBeCloseTo(0.05, 15);
    expect(binomialStandardError(100, 200)).toBeCloseTo(0.0353553391, 10); // √(1/800)
    expect(binomialStandardError(0, 7)).toBe(0);
  });
  test('errors', () => {
    expect(() => binomialStandardError(3, 2)).toThrow('0..2, got 3');
    expect(() => binomialStandardError(0, 0)).toThrow('n to be');
  });
});

describe('wilsonInterval', () => {
  test('golden', () => {
    // statsmodels proportion_confint(5, 10, method='wilson'): 0.236593, 0.763407; (0, 10): 0, 0.277533
    const half = wilsonInterval(5, 10);
    expect(half.mean).toBe(0.5);
    expect(half.low).toBeCloseTo(0.236593, 6);
    expect(half.high).toBeCloseTo(0.763407, 6);
    expect(half.sd).toBeCloseTo(Math.sqrt(5 / 18), 12); // ten values, squares of 1/2 sum to 2.5, over 9
    const none = wilsonInterval(0, 10);
    expect(none.low).toBe(0);
    expect(none.high).toBeCloseTo(0.277533, 6); // z² / (n + z²)
  });

  test('mirrors, and contains the mean inside [0, 1]', () => {
    const accuracy = fc
      .integer({ min: 1, max: 1000 })
      .chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)));
    fc.assert(
      fc.property(accuracy, ([c, n]) => {
        const { low, high, mean } = wilsonInterval(c, n);
        expect(low).toBeGreaterThanOrEqual(0);
        expect(high).toBeLessThanOrEqual(1);
        expect(low <= mean && mean <= high).toBe(true);
        expect(wilsonInterval(n - c, n).low).toBeCloseTo(1 - high, 12);
      }),
    );
  });

  test('errors', () => {
    expect(() => wilsonInterval(-1, 2)).toThrow('correct');
    expect(() => wilsonInterval(1, 1.5)).toThrow('n to be');
  });
});
