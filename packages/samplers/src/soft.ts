import type { Action, Sampler } from './contract.js';
import { embeddingNoise, type SoftAction } from './embeddingNoise.js';
import type { MixtureOptions, Placement } from './gaussian.js';

export interface SoftOptions<A extends Action = SoftAction> extends MixtureOptions {
  /** Where the noise enters. Default `embeddingNoise`. */
  placement?: Placement<A> | undefined;
}

/**
 * Soft tokens: the mixture of all token embeddings under the model's distribution, plus Gaussian noise:
 *
 *   h̃ = h⁰ + σ ε,   h⁰ = softmax(z / τ) E,   ε ~ N(0, I)
 *
 * `placement` puts the noise elsewhere: `hiddenNoise`, `logitNoise`, `topKNoise(k)`, or one of your own. σ is then in
 * the unit of what it is added to.
 *
 * @throws RangeError for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 5, 6 and 10, and app. F.2.
 * @example const sampler = soft({ temperature: 0.5, noiseScale: noiseScale(model) });
 */
export function soft<A extends Action = SoftAction>({ placement, ...options }: SoftOptions<A>): Sampler<A> {
  return mixture('soft', options, placement);
}

/** What soft and fuzzy tokens share; only the name and the usual temperature differ. */
export function mixture<A extends Action>(
  name: string,
  options: MixtureOptions,
  placement: Placement<A> | undefined,
): Sampler<A> {
  // Without a placement, A is what `SoftOptions` has it be by default.
  return placement ? placement(name, options) : (embeddingNoise(name, options) as Sampler<Action> as Sampler<A>);
}
