import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { quantile } from 'simple-statistics';
import { type PassAtKPoint, passAtK, passAtKCurve } from './passAtK.js';

/** How often, and by which draws, a sample is drawn again from itself. */
export interface BootstrapOptions {
  /** How many times, ≥ 1. Default 1000. */
  readonly resamples?: number;
  /** A whole number, of which the lowest 32 bits count. Default 0. */
  readonly seed?: number;
}

/** A mean over questions with its 95 % bootstrap interval. */
export interface BootstrapInterval {
  readonly value: number;
  /** The 2.5 % point of the mean's resamples. */
  readonly low: number;
  /** Their 97.5 % point. */
  readonly high: number;
}

/** One point of a pass@k curve with its interval. */
export interface PassAtKInterval extends PassAtKPoint, BootstrapInterval {}

/**
 * 95 % intervals of the means of several quantities, each known for every question, by the percentile bootstrap:
 *
 *   the 2.5 % and 97.5 % points, over b = 1..B, of mean_{i=1..N} x_{j(b,i)},   j(b,i) uniform in 1..N
 *
 * The quantities share their resamples, so that a curve of several moves as one. An interval says how the mean would
 * vary with the choice of questions, not with the model's seed.
 *
 * - `quantities`: a list of N finite values each, N ≥ 1, in the order of the questions
 * - the same options give the same interval on every machine; points between two resampled means are interpolated
 *
 * Throws RangeError without questions, for lists that differ in length, and for a value that is not finite.
 *
 * Source: Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1).
 *
 * @example bootstrapIntervals([[0, 1, 1, 0, 1, 1, 0, 1]]) // [{ value: 0.625, low: 0.25, high: 0.875 }]
 */
export function bootstrapIntervals(
  quantities: readonly (readonly number[])[],
  { resamples = 1000, seed = 0 }: BootstrapOptions = {},
): BootstrapInterval[] {
  if (!Number.isSafeInteger(resamples) || resamples < 1) {
    throw new RangeError(`bootstrapIntervals: expected resamples to be an integer ≥ 1, got ${resamples}`);
  }
  if (!Number.isSafeInteger(seed)) {
    throw new RangeError(`bootstrapIntervals: expected seed to be an integer, got ${seed}`);
  }
  const N = quantities[0]?.length ?? 0;
  quantities.forEach((values, q) => {
    checkQuantity(values, q, N);
  });
  const random = xoroshiro128plus(seed);
  const means = quantities.map(() => new Float64Array(resamples));
  const drawn = new Int32Array(N);
  for (let b = 0; b < resamples; b++) {
    for (let i = 0; i < N; i++) drawn[i] = uniformInt(random, 0, N - 1);
    quantities.forEach((values, q) => {
      let sum = 0;
      for (const j of drawn) sum += values[j]!;
      means[q]![b] = sum / N;
    });
  }
  return quantities.map((values, q) => {
    const [low, high] = quantile([...means[q]!], [0.025, 0.975]) as [number, number];
    return { value: values.reduce((sum, value) => sum + value, 0) / N, low, high };
  });
}

function checkQuantity(values: readonly number[], q: number, N: number): void {
  if (values.length === 0)
    throw new RangeError('bootstrapIntervals: expected at least one question, got an empty list');
  if (values.length !== N) {
    throw new RangeError(`bootstrapIntervals: expected a value for each of ${N} questions, got ${values.length}`);
  }
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new RangeError(
      `bootstrapIntervals: expected finite values, got ${values[bad]} at index ${bad} of quantity ${q}`,
    );
  }
}

/**
 * `passAtKCurve` with 95 % intervals over the problems, see `bootstrapIntervals`; all k share their resamples.
 *
 * - `counts`, `n`, `ks`: as `passAtKCurve`
 *
 * Throws RangeError as `passAtKCurve`, and for options outside their range.
 *
 * @example passAtKIntervals([0, 1, 16, 32], 32, [1])[0]?.value // 0.3828125
 */
export function passAtKIntervals(
  counts: readonly number[],
  n: number,
  ks?: readonly number[],
  options?: BootstrapOptions,
): PassAtKInterval[] {
  const curve = passAtKCurve(counts, n, ks);
  const intervals = bootstrapIntervals(
    curve.map(({ k }) => counts.map((c) => passAtK(n, c, k))),
    options,
  );
  return curve.map((point, i) => ({ ...intervals[i]!, ...point }));
}
