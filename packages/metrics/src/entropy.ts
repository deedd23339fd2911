/** How far from 1 a probability vector may sum; float32 softmax over 150,000 entries stays well inside. */
const sumTolerance = 1e-3;

/**
 * Shannon entropy of a probability vector, in nats: H = -Σ_i p_i log p_i, with 0 log 0 = 0.
 *
 * - `probabilities`: `[V]`, each in [0, 1], summing to 1 within 1e-3; not renormalised
 * - returns a value in [0, log V], up to rounding
 *
 * Throws RangeError for an empty vector, an entry outside [0, 1] (NaN included), or another sum.
 *
 * Source: Shannon 1948, "A mathematical theory of communication", section 6.
 *
 * @example entropy([0.5, 0.5]) // 0.6931471805599453
 */
export function entropy(probabilities: ArrayLike<number>): number {
  let sum = 0;
  let total = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    if (!(p >= 0 && p <= 1 + sumTolerance)) {
      throw new RangeError(`entropy: expected probabilities in [0, 1], got ${p} at index ${i}; apply softmax first`);
    }
    sum += p;
    if (p > 0) total -= p * Math.log(p);
  }
  if (!(Math.abs(sum - 1) <= sumTolerance)) {
    throw new RangeError(`entropy: expected probabilities that sum to 1, got a sum of ${sum}; apply softmax first`);
  }
  return Math.max(0, total); // a single 1.0000001 would give -1e-7
}

/** Mean entropy by position. */
export interface EntropyProfile {
  /** Mean over the sequences that reach position t, in nats; `[T]`, T the longest length. */
  readonly mean: readonly number[];
  /** How many sequences reach position t; `[T]`, never increasing. */
  readonly count: readonly number[];
}

/**
 * Entropy by position, averaged over sequences of unequal length: mean[t] = Σ_s H_{s,t} / count[t], where count[t] is
 * the number of sequences longer than t. A short sequence adds nothing to the positions after its end.
 *
 * - `sequences`: one list of entropies (nats) for each sequence, lengths may differ; empty ones are allowed
 *
 * Throws RangeError for an entropy that is not finite or is negative.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, figure 4.
 *
 * @example entropyProfile([[1, 2], [3]]) // { mean: [2, 2], count: [2, 1] }
 */
export function entropyProfile(sequences: readonly ArrayLike<number>[]): EntropyProfile {
  const length = sequences.reduce((longest, sequence) => Math.max(longest, sequence.length), 0);
  const sum = new Array<number>(length).fill(0);
  const count = new Array<number>(length).fill(0);
  for (const [s, sequence] of sequences.entries()) {
    for (let t = 0; t < sequence.length; t++) {
      const value = sequence[t]!;
      if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
        throw new RangeError(
          `entropyProfile: expected finite entropies ≥ 0, got ${value} in sequence ${s} at position ${t}`,
        );
      }
      sum[t] = sum[t]! + value;
      count[t] = count[t]! + 1;
    }
  }
  return { mean: sum.map((value, t) => value / count[t]!), count };
}
