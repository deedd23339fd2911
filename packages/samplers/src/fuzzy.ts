import type { Action, Sampler } from './contract.js';
import type { SoftAction } from './embeddingNoise.js';
import { mixture, type SoftOptions } from './soft.js';

export interface FuzzyOptions<A extends Action = SoftAction> extends Omit<SoftOptions<A>, 'temperature'> {
  /** τ > 0, so small that the mixture is all but one-hot. Default 0.0001. */
  temperature?: number;
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
export function fuzzy<A extends Action = SoftAction>(options: FuzzyOptions<A>): Sampler<A> {
  const { temperature = 0.0001, noiseScale, placement } = options;
  return mixture('fuzzy', { temperature, noiseScale }, placement);
}
