import * as tf from '@tensorflow/tfjs-core';
import type { Sampler } from './contract.js';

export interface SoftOptions {
  /** τ > 0 of the mixture. */
  temperature: number;
  /** σ >= 0, the standard deviation of the noise in each coordinate. At 0 there is no log-probability to train on. */
  noiseScale: number;
}

/** The noisy mixtures h̃ fed to the stack, `[B, d]`; recorded as `[B, T, d]`. */
export type SoftAction = { input: tf.Tensor };

/**
 * Soft tokens: the mixture of all token embeddings under the model's distribution, plus Gaussian noise:
 *
 *   h̃ = h⁰ + σ ε,   h⁰ = softmax(z / τ) E,   ε ~ N(0, I)
 *   log π(h̃) = -‖h̃ - h⁰‖² / (2σ²)      (without the constant -(d/2) log 2πσ²)
 *
 * The recorded h̃ are constants when scored: no gradient flows back through time.
 *
 * @throws RangeError for τ <= 0 or σ < 0; from `logProb` when σ = 0.
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 5, 6 and 10.
 * @example const sampler = soft({ temperature: 0.5, noiseScale: noiseScale(model) });
 */
export function soft({ temperature, noiseScale }: SoftOptions): Sampler<SoftAction> {
  return mixture('soft', { temperature, noiseScale });
}

/** What soft and fuzzy tokens share; only the name and the usual temperature differ. */
export function mixture(name: string, { temperature, noiseScale }: SoftOptions): Sampler<SoftAction> {
  if (!(temperature > 0)) {
    throw new RangeError(`${name}: expected a temperature > 0, got ${temperature}; for one-hot tokens use hard()`);
  }
  if (!(noiseScale >= 0)) throw new RangeError(`${name}: expected a noise scale >= 0, got ${noiseScale}`);
  return {
    name,
    step(hidden, model, noise) {
      const logits = model.head.logits(hidden) as tf.Tensor2D;
      const gaps = tf.sub(logits, tf.max(logits, -1, true)); // before the division: at τ = 1e-4 it keeps the digits
      const mean = model.mix(tf.softmax(tf.div(gaps, temperature))) as tf.Tensor2D;
      const input = noiseScale === 0 ? mean : tf.add(mean, tf.mul(noise.normal(model.hiddenSize), noiseScale));
      const shadow = tf.argMax(logits, -1).dataSync<'int32'>();
      return { input: input as tf.Tensor2D, action: { input }, shadow };
    },
    inputs: ({ input }) => input as tf.Tensor3D,
    logProb(hidden, model, { input }) {
      if (noiseScale === 0) {
        throw new RangeError(`${name}: expected a noise scale > 0 to score, got 0; a noiseless mixture has no density`);
      }
      const mean = model.head.mixture(hidden, temperature);
      const squared = tf.sum(tf.square(tf.sub(input, mean)), -1);
      return tf.mul(squared, -1 / (2 * noiseScale ** 2)) as tf.Tensor2D;
    },
  };
}
