import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { passAtK, passAtKCurve } from './passAtK.js';

/** C(n, k) exactly. */
function choose(n: number, k: number): bigint {
  let value = 1n;
  for (let i = 0; i < k; i++) value = (value * BigInt(n - i)) / BigInt(i + 1);
  return k > n ? 0n : value;
}

/** The definition, by exact integers; good to about 15 digits. */
function exact(n: number, c: number, k: number): number {
  const scale = 10n ** 15n;
  return 1 - Number((choose(n - c, k) * scale) / choose(n, k)) / 1e15;
}

const problem = fc
  .integer({ min: 1, max: 200 })
  .chain((n) => fc.tuple(fc.constant(n), fc.integer({ min: 0, max: n }), fc.integer({ min: 1, max: n })));

describe('passAtK', () => {
  // Worked in float64 from the formula; (8, 3, 5) also on PyPI `pass-at-k`.
  test.each([
    [4, 1, 2, 0.5],
    [8, 3, 1, 0.375],
    [8, 3, 5, 0.9821428571],
    [32, 1, 1, 0.03125],
    [32, 1, 2, 0.0625],
    [32, 1, 4, 0.125],
    [32, 1, 8, 0.25],
    [32, 1, 16, 0.5],
    [32, 1, 32, 1],
    [32, 4, 1, 0.125],
    [32, 4, 2, 0.2379032258],
    [32, 4, 4, 0.4306173526],
    [32, 4, 8, 0.7045050056],
    [32, 4, 16, 0.9493882091],
    [32, 4, 32, 1],
    [32, 16, 2, 0.7580645161],
    [32, 16, 4, 0.9493882091],
    [100, 5, 10, 0.4162476331],
    [64, 3, 32, 0.880952381],
    [32, 0, 8, 0],
  ])('n=%i c=%i k=%i', (n, c, k, want) => {
    expect(Math.abs(passAtK(n, c, k) - want)).toBeLessThanOrEqual(1e-10);
  });

  test('equals the binomial definition', () => {
    fc.assert(fc.property(problem, ([n, c, k]) => Math.abs(passAtK(n, c, k) - exact(n, c, k)) < 1e-12));
  });

  test('is a probability, c/n at k = 1, and grows with k and with c', () => {
    fc.assert(
      fc.property(problem, ([n, c, k]) => {
        const value = passAtK(n, c, k);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
        expect(passAtK(n, c, 1)).toBeCloseTo(c / n, 12);
        if (k < n) expect(passAtK(n, c, k + 1)).toBeGreaterThanOrEqual(value - 1e-15);
        if (c < n) expect(passAtK(n, c + 1, k)).toBeGreaterThanOrEqual(value - 1e-15);
      }),
    );
  });

  test('does not overflow where the coefficients would', () => {
    // C(100000, 50000) has 30,101 digits. 1 - 1/2 · 49999/99999, by hand.
    expect(passAtK(100_000, 2, 50_000)).toBeCloseTo(1 - (0.5 * 49_999) / 99_999, 12);
  });

  test.each([
    [4, 1, 5, 'k to be an integer in 1..4, got 5'],
    [4, 1, 0, 'k to be'],
    [4, 1, 1.5, 'k to be'],
    [4, 5, 1, 'c to be an integer in 0..4, got 5'],
    [4, -1, 1, 'c to be'],
    [4, Number.NaN, 1, 'c to be'],
    [0, 0, 1, 'n to be'],
    [2.5, 1, 1, 'n to be'],
  ])('n=%d c=%d k=%d is an error', (n, c, k, message) => {
    expect(() => passAtK(n, c, k)).toThrow(RangeError);
    expect(() => passAtK(n, c, k)).toThrow(message);
  });
});

describe('passAtKCurve', () => {
  test('golden: c = 0, 1, 16, 32 of 32', () => {
    const want = [0.3828125, 0.455141129, 0.5185970523, 0.5621941046, 0.6249999996, 0.75];
    const curve = passAtKCurve([0, 1, 16, 32], 32, [1, 2, 4, 8, 16, 32]);
    expect(curve.map(({ k }) => k)).toEqual([1, 2, 4, 8, 16, 32]);
    for (const [i, { value }] of curve.entries()) expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(1e-9);
  });

  test('defaults to every k', () => {
    expect(passAtKCurve([1], 2)).toEqual([
      { k: 1, value: 0.5 },
      { k: 2, value: 1 },
    ]);
  });

  test('errors', () => {
    expect(() => passAtKCurve([], 4)).toThrow('at least one problem');
    expect(() => passAtKCurve([1], 4, [8])).toThrow('got 8');
    expect(() => passAtKCurve([1], Number.NaN)).toThrow('n to be');
  });
});
