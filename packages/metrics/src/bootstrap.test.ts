import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import { sampleStandardDeviation } from 'simple-statistics';
import { describe, expect, test } from 'vitest';
import { bootstrapIntervals, passAtKIntervals } from './bootstrap.js';
import { passAtKCurve } from './passAtK.js';

/** Uniform numbers in [0, 1), of another generator than the one that resamples. */
function uniforms(seed: number): () => number {
  const random = mersenne(seed);
  return () => uniformFloat64(random);
}

/** `N` draws, each 1 with probability `p`. */
function coins(N: number, p: number, uniform: () => number): number[] {
  return Array.from({ length: N }, () => Number(uniform() < p));
}

/** The least m with P(X ≤ m) ≥ `share`, X binomial of `N` and `p`, by summing its probabilities. */
function binomialQuantile(N: number, p: number, share: number): number {
  let probability = (1 - p) ** N;
  let below = probability;
  let m = 0;
  while (below < share) {
    probability *= ((N - m) / (m + 1)) * (p / (1 - p));
    below += probability;
    m++;
  }
  return m;
}

describe('bootstrapIntervals', () => {
  test.each([
    // A resample of zeros and ones has a binomial number of ones, so the points are known exactly.
    [50, 20],
    [20, 3],
    [200, 150],
  ])('of %i zeros and ones, %i ones, the points are the binomial ones', (N, ones) => {
    const values = Array.from({ length: N }, (_, i) => Number(i < ones));
    const [interval] = bootstrapIntervals([values], { resamples: 20_000 });
    const point = (share: number) => binomialQuantile(N, ones / N, share) / N;
    expect(interval!.value).toBeCloseTo(ones / N, 15);
    expect(interval!.low).toBeCloseTo(point(0.025), 12);
    expect(interval!.high).toBeCloseTo(point(0.975), 12);
  });

  test('of many questions it is nearly the normal interval', () => {
    const uniform = uniforms(3);
    const values = Array.from({ length: 2000 }, () => uniform() ** 3);
    const [{ value, low, high }] = bootstrapIntervals([values], { resamples: 4000 }) as [never];
    const half = (1.959964 * sampleStandardDeviation(values)) / Math.sqrt(values.length);
    // The points of 4,000 resamples have a standard error of about 4 % of the half width.
    expect(Math.abs(value - low - half)).toBeLessThan(0.12 * half);
    expect(Math.abs(high - value - half)).toBeLessThan(0.12 * half);
  });

  test('it holds the true mean about 95 times in 100', () => {
    const uniform = uniforms(11);
    const p = 0.3;
    let held = 0;
    for (let seed = 0; seed < 600; seed++) {
      const [interval] = bootstrapIntervals([coins(150, p, uniform)], { resamples: 300, seed });
      if (interval!.low <= p && p <= interval!.high) held++;
    }
    // Standard error of a share of 0.95 over 600 is 0.009; the percentile interval is a little short.
    expect(held / 600).toBeGreaterThan(0.91);
    expect(held / 600).toBeLessThan(0.98);
  });

  test('values that are all equal leave no width', () => {
    const third = 1 / 3; // no sum of thirds is exact
    expect(bootstrapIntervals([Array(7).fill(third)])).toEqual([
      { value: expect.closeTo(third, 15), low: expect.closeTo(third, 15), high: expect.closeTo(third, 15) },
    ]);
    const [one] = bootstrapIntervals([[0.1]]);
    expect(one).toEqual({ value: 0.1, low: 0.1, high: 0.1 });
    const [all] = bootstrapIntervals([Array(7).fill(0.1)]);
    expect([all!.low, all!.high]).toEqual([all!.value, all!.value]);
  });

  test('quantities share their resamples', () => {
    const uniform = uniforms(5);
    const values = Array.from({ length: 30 }, uniform);
    const [plain, doubled] = bootstrapIntervals([values, values.map((value) => 2 * value)]);
    expect(doubled!.low).toBe(2 * plain!.low);
    expect(doubled!.high).toBe(2 * plain!.high);
    expect(bootstrapIntervals([values])).toEqual([plain]);
  });

  test('the seed decides', () => {
    const values = Array.from({ length: 30 }, uniforms(5));
    expect(bootstrapIntervals([values], { seed: 4 })).toEqual(bootstrapIntervals([values], { seed: 4 }));
    expect(bootstrapIntervals([values], { seed: 4 })).not.toEqual(bootstrapIntervals([values], { seed: 5 }));
  });

  test('golden', () => {
    expect(bootstrapIntervals([[0, 1, 1, 0, 1, 1, 0, 1]])).toEqual([{ value: 0.625, low: 0.25, high: 0.875 }]);
    // Pins the generator: whoever changes this changes published intervals.
    expect(bootstrapIntervals([[3, 1, 4, 1, 5, 9, 2, 6]])).toEqual([
      { value: 3.875, low: 2.375, high: expect.closeTo(5.628125, 12) },
    ]);
  });

  test.each([
    [[[]], {}, 'at least one question'],
    [[[1, 2], [1]], {}, 'a value for each of 2 questions, got 1'],
    [[[1], [Number.NaN]], {}, 'got NaN at index 0 of quantity 1'],
    [[[1, Number.POSITIVE_INFINITY]], {}, 'got Infinity at index 1 of quantity 0'],
    [[[1]], { resamples: 0 }, 'resamples to be an integer ≥ 1, got 0'],
    [[[1]], { resamples: Number.NaN }, 'got NaN'],
    [[[1]], { seed: 0.5 }, 'seed to be an integer, got 0.5'],
  ])('%j with %j is an error', (quantities, options, message) => {
    expect(() => bootstrapIntervals(quantities, options)).toThrow(RangeError);
    expect(() => bootstrapIntervals(quantities, options)).toThrow(message);
  });
});

describe('passAtKIntervals', () => {
  const uniform = uniforms(2);
  const counts = Array.from({ length: 300 }, () => Math.floor(33 * uniform() ** 2));

  test('is the curve with an interval around each point', () => {
    const ks = [1, 2, 4, 8, 16, 32];
    const intervals = passAtKIntervals(counts, 32, ks);
    expect(intervals.map(({ k, value }) => ({ k, value }))).toEqual(passAtKCurve(counts, 32, ks));
    for (const { low, value, high } of intervals) {
      expect(low).toBeLessThan(value);
      expect(value).toBeLessThan(high);
    }
    // At k = n it is the share of questions with a correct sample: as zeros and ones.
    expect(intervals[5]).toEqual({ k: 32, ...bootstrapIntervals([counts.map((c) => Number(c > 0))])[0] });
  });

  test('none or all correct leave no width', () => {
    expect(passAtKIntervals([0, 0, 0], 4, [2])).toEqual([{ k: 2, value: 0, low: 0, high: 0 }]);
    expect(passAtKIntervals([4, 4, 4], 4, [2])).toEqual([{ k: 2, value: 1, low: 1, high: 1 }]);
  });

  test('a seed of its own, and every k by default', () => {
    expect(passAtKIntervals(counts, 32, [1], { seed: 1 })).not.toEqual(passAtKIntervals(counts, 32, [1]));
    expect(passAtKIntervals([1], 2).map(({ k }) => k)).toEqual([1, 2]);
  });

  test('errors', () => {
    expect(() => passAtKIntervals([], 4)).toThrow('at least one problem');
    expect(() => passAtKIntervals([1], 4, [8])).toThrow('got 8');
    expect(() => passAtKIntervals([Number.NaN], 4, [1])).toThrow('c to be');
    expect(() => passAtKIntervals([1], 4, [1], { resamples: 1.5 })).toThrow('got 1.5');
  });
});
