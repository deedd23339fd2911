import type { Sampler } from './contract.js';
import { mixture, type SoftAction } from './soft.js';

export interface FuzzyOptions {
  /** τ > 0, so small that the mixture is all but one-hot. Default 0.0001. */
  temperature?: number;
  /** σ >= 0, the standard deviation of the noise in each coordinate. */
  noiseScale: number;
}

/**
 * Fuzzy tokens: soft tokens so cold that the mixture is nearly the embedding of the most likely token, plus noise.
 *
 *   h̃ = softmax(z / τ) E + σ ε,   τ = 0.0001
 *
 * @throws RangeError as `soft` does.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, sec. 4.
 * @example const sampler = fuzzy({ noiseScale: 0.05 });
 */
export function fuzzy({ temperature = 0.0001, noiseScale }: FuzzyOptions): Sampler<SoftAction> {
  return mixture('fuzzy', { temperature, noiseScale });
}
