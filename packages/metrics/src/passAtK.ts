function checkCount(where: string, name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${where}: expected ${name} to be an integer in ${low}..${high}, got ${value}`);
  }
}

/**
 * The chance that at least one of k samples is correct, estimated without bias from n samples of which c are correct:
 *
 *   pass@k = 1 - C(n-c, k) / C(n, k) = 1 - Π_{i=n-c+1..n} (1 - k/i)
 *
 * (1 when fewer than k samples are wrong). The product never forms a binomial coefficient, so it does not overflow.
 *
 * - `n`: samples drawn, ≥ 1 · `c`: correct ones, 0..n · `k`: 1..n
 * - returns a probability in [0, 1]
 *
 * Throws RangeError when n, c or k is no integer or lies outside its range; k > n cannot be estimated: draw more samples.
 *
 * Source: Chen et al. 2021, arXiv:2107.03374, eq. 1 and figure 3.
 *
 * @example passAtK(8, 3, 5) // 0.9821428571
 */
export function passAtK(n: number, c: number, k: number): number {
  checkCount('passAtK', 'n', n, 1, Number.MAX_SAFE_INTEGER);
  checkCount('passAtK', 'c', c, 0, n);
  checkCount('passAtK', 'k', k, 1, n);
  if (n - c < k) return 1; // every choice of k samples holds a correct one
  let allWrong = 1;
  for (let i = n - c + 1; i <= n; i++) allWrong *= 1 - k / i;
  return 1 - allWrong;
}

/** One point of a pass@k curve. */
export interface PassAtKPoint {
  readonly k: number;
  /** Mean of pass@k over the problems, in [0, 1]. */
  readonly value: number;
}

/**
 * Mean of `passAtK` over problems, for each k.
 *
 * - `counts`: correct samples of each problem, each 0..n; at least one problem
 * - `n`: samples drawn of every problem
 * - `ks`: which k, default 1, 2, ..., n
 * - returns one point per entry of `ks`, in its order
 *
 * Throws RangeError without problems, and as `passAtK`.
 *
 * @example passAtKCurve([0, 1, 16, 32], 32, [1, 32]) // [{ k: 1, value: 0.3828125 }, { k: 32, value: 0.75 }]
 */
export function passAtKCurve(counts: readonly number[], n: number, ks?: readonly number[]): PassAtKPoint[] {
  if (counts.length === 0) throw new RangeError('passAtKCurve: expected at least one problem, got an empty list');
  checkCount('passAtKCurve', 'n', n, 1, Number.MAX_SAFE_INTEGER);
  const chosen = ks ?? Array.from({ length: n }, (_, i) => i + 1);
  return chosen.map((k) => ({ k, value: counts.reduce((sum, c) => sum + passAtK(n, c, k), 0) / counts.length }));
}
