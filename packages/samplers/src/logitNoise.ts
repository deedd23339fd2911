import * as tf from '@tensorflow/tfjs-core';
import type { Sampler } from './contract.js';
import { gaussianLogProb, type MixtureOptions, perturbed, requireMixture, weightsAt } from './gaussian.js';

/** The noisy logits z̃, `[B, V]`; recorded as `[B, T, V]`. */
export type LogitsAction = { logits: tf.Tensor };

/**
 * Noise on the logits z = W h; a `Placement`:
 *
 *   z̃ = z + σ ε,   input = softmax(z̃ / τ) E,   log π(z̃) = -‖z̃ - z‖² / (2σ²)
 *
 * z̃ is a constant when scored; E gets its gradient where the input is computed from it. The shadow is the greedy id of
 * z̃. σ is in the unit of the logits: 0.33 times their root mean square about their mean, for instance, since the paper
 * does not give it. Each recorded step holds V numbers, and scoring as many a position: meant for small vocabularies.
 *
 * @throws RangeError for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, app. F.2.
 * @example soft({ temperature: 0.5, noiseScale: 0.33 * stateRms(model, prompts).logits, placement: logitNoise });
 */
export function logitNoise(name: string, options: MixtureOptions): Sampler<LogitsAction> {
  requireMixture(name, options);
  const { temperature, noiseScale } = options;
  return {
    name,
    distribution: { kind: 'gaussian', noiseScale, mean: (hidden, model) => model.head.logits(hidden) },
    step(hidden, model, noise) {
      const drawn = perturbed(model.head.logits(hidden), noiseScale, noise);
      const input = model.mix(weightsAt(drawn, temperature)) as tf.Tensor2D;
      return { input, action: { logits: drawn }, shadow: tf.argMax(drawn, -1).dataSync<'int32'>() };
    },
    inputs: ({ logits }, model) => model.mix(weightsAt(logits, temperature)) as tf.Tensor3D,
    logProb: (hidden, model, { logits }) => gaussianLogProb(name, logits, () => model.head.logits(hidden), noiseScale),
  };
}
