import * as tf from '@tensorflow/tfjs-core';
import type { LanguageModel, Sampler } from './contract.js';
import { gaussianLogProb, type MixtureOptions, perturbed, requireMixture, weightsAt } from './gaussian.js';

/** The noisy mixtures h̃ fed to the stack, `[B, d]`; recorded as `[B, T, d]`. */
export type SoftAction = { input: tf.Tensor };

/**
 * Noise on the mixture of embeddings, the paper's own `Placement`:
 *
 *   h̃ = h⁰ + σ ε,   h⁰ = softmax(z / τ) E,   ε ~ N(0, I)
 *   log π(h̃) = -‖h̃ - h⁰‖² / (2σ²)      (without the constant -(d/2) log 2πσ²)
 *
 * The recorded h̃ are constants when scored: no gradient flows back through time.
 *
 * @throws RangeError for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 5, 6 and 10.
 * @example soft({ temperature: 0.5, noiseScale: noiseScale(model), placement: embeddingNoise }); // as without it
 */
export function embeddingNoise(name: string, options: MixtureOptions): Sampler<SoftAction> {
  requireMixture(name, options);
  const { temperature, noiseScale } = options;
  const mean = (hidden: tf.Tensor, model: LanguageModel) => model.head.mixture(hidden, temperature);
  return {
    name,
    distribution: { kind: 'gaussian', noiseScale, mean },
    step(hidden, model, noise) {
      const logits = model.head.logits(hidden);
      const mean = model.mix(weightsAt(logits, temperature)) as tf.Tensor2D;
      const input = perturbed(mean, noiseScale, noise);
      return { input, action: { input }, shadow: tf.argMax(logits, -1).dataSync<'int32'>() };
    },
    inputs: ({ input }) => input as tf.Tensor3D,
    logProb: (hidden, model, { input }) => gaussianLogProb(name, input, () => mean(hidden, model), noiseScale),
  };
}
