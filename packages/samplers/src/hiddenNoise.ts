import * as tf from '@tensorflow/tfjs-core';
import type { Sampler } from './contract.js';
import { gaussianLogProb, type MixtureOptions, perturbed, requireMixture, weightsAt } from './gaussian.js';

/** The noisy final hidden states h̃, `[B, d]`; recorded as `[B, T, d]`. */
export type HiddenAction = { hidden: tf.Tensor };

/**
 * Noise on the final hidden state h, before the head; a `Placement`:
 *
 *   h̃ = h + σ ε,   input = softmax(W h̃ / τ) E,   log π(h̃) = -‖h̃ - h‖² / (2σ²)
 *
 * h̃ is a constant when scored, but the input is computed from it by W and E, which get their gradient there. The shadow
 * is the greedy id of W h̃, for that is what the mixture is of. σ is in the unit of h: 0.33 times the root mean square
 * of its entries is the like of the paper's scale, which the paper does not give for this place.
 *
 * @throws RangeError for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, app. F.2.
 * @example soft({ temperature: 0.5, noiseScale: 0.33 * stateRms(model, prompts).hidden, placement: hiddenNoise });
 */
export function hiddenNoise(name: string, options: MixtureOptions): Sampler<HiddenAction> {
  requireMixture(name, options);
  const { temperature, noiseScale } = options;
  return {
    name,
    distribution: { kind: 'gaussian', noiseScale, mean: (hidden) => hidden },
    step(hidden, model, noise) {
      const drawn = perturbed(hidden, noiseScale, noise);
      const logits = model.head.logits(drawn);
      const input = model.mix(weightsAt(logits, temperature)) as tf.Tensor2D;
      return { input, action: { hidden: drawn }, shadow: tf.argMax(logits, -1).dataSync<'int32'>() };
    },
    inputs: ({ hidden }, model) => model.head.mixture(hidden, temperature) as tf.Tensor3D,
    logProb: (hidden, _, action) => gaussianLogProb(name, action.hidden, () => hidden, noiseScale),
  };
}
