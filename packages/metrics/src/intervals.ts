import studentQuantile from '@stdlib/stats-base-dists-t-quantile';
import { mean as meanOf, sampleStandardDeviation } from 'simple-statistics';

/** A mean with its 95 % confidence interval. */
export interface Interval {
  readonly mean: number;
  /** Lower end of the interval. */
  readonly low: number;
  /** Upper end of the interval. */
  readonly high: number;
  /** Standard deviation of one observation, divisor n - 1; NaN when n = 1. */
  readonly sd: number;
  /** How many observations. */
  readonly n: number;
}

/** The 97.5 % point of the standard normal distribution. */
const normalQuantile = 1.959963984540054;

/**
 * Mean and 95 % confidence interval of a few independent values, say one accuracy per seed (Student's t):
 *
 *   mean ± t_{0.975, n-1} · sd / √n
 *
 * - `values`: finite, at least one; the interval has their unit
 * - with one value there is no spread to estimate: `sd`, `low` and `high` are NaN
 *
 * Throws RangeError for an empty list or a value that is not finite.
 *
 * Source: Student 1908, "The probable error of a mean", Biometrika 6(1).
 *
 * @example meanInterval([0.7, 0.72, 0.74]) // { mean: 0.72, low: 0.6703, high: 0.7697, sd: 0.02, n: 3 }
 */
export function meanInterval(values: readonly number[]): Interval {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new RangeError(`meanInterval: expected finite values, got ${values[bad]} at index ${bad}`);
  const n = values.length;
  if (n === 0) throw new RangeError('meanInterval: expected at least one value, got an empty list');
  const list = [...values];
  const mean = meanOf(list);
  if (n === 1) return { mean, low: Number.NaN, high: Number.NaN, sd: Number.NaN, n };
  const sd = sampleStandardDeviation(list);
  const half = (studentQuantile(0.975, n - 1) * sd) / Math.sqrt(n);
  return { mean, low: mean - half, high: mean + half, sd, n };
}

function checkAccuracy(where: string, correct: number, n: number): void {
  if (!Number.isInteger(n) || n < 1) throw new RangeError(`${where}: expected n to be an integer ≥ 1, got ${n}`);
  if (!Number.isInteger(correct) || correct < 0 || correct > n) {
    throw new RangeError(`${where}: expected correct to be an integer in 0..${n}, got ${correct}`);
  }
}

/**
 * Standard error of an accuracy over n questions: √(p (1 - p) / n), p = correct / n.
 *
 * It is 0 when all or none are correct, which says too much: for an interval use `wilsonInterval`.
 *
 * Throws RangeError unless n ≥ 1 and 0 ≤ correct ≤ n are integers.
 *
 * @example binomialStandardError(50, 100) // 0.05
 */
export function binomialStandardError(correct: number, n: number): number {
  checkAccuracy('binomialStandardError', correct, n);
  const p = correct / n;
  return Math.sqrt((p * (1 - p)) / n);
}

/**
 * Accuracy over n questions with its 95 % Wilson score interval, which stays inside [0, 1]:
 *
 *   (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n),   p = correct / n, z = 1.96
 *
 * `mean` is p itself, not the interval's middle; `sd` is the sample deviation of the n zeros and ones.
 *
 * Throws RangeError unless n ≥ 1 and 0 ≤ correct ≤ n are integers.
 *
 * Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22(158).
 *
 * @example wilsonInterval(5, 10) // { mean: 0.5, low: 0.2366, high: 0.7634, sd: 0.527, n: 10 }
 */
export function wilsonInterval(correct: number, n: number): Interval {
  checkAccuracy('wilsonInterval', correct, n);
  const p = correct / n;
  const z2 = normalQuantile ** 2;
  const scale = 1 + z2 / n;
  const middle = (p + z2 / (2 * n)) / scale;
  const half = (normalQuantile * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n))) / scale;
  return {
    mean: p,
    low: correct === 0 ? 0 : middle - half, // exact where rounding would leave ±1e-17
    high: correct === n ? 1 : middle + half,
    sd: n === 1 ? Number.NaN : Math.sqrt((p * (1 - p) * n) / (n - 1)),
    n,
  };
}
