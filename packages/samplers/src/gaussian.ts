// What the placements of noise share: a Gaussian step, its score, and the weights of a mixture.
import type { Noise } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import type { Action, Sampler } from './contract.js';

export interface MixtureOptions {
  /** τ > 0 of the mixture. */
  temperature: number;
  /** σ >= 0, the standard deviation of the noise in each coordinate. At 0 there is no log-probability to train on. */
  noiseScale: number;
}

/**
 * Where noise enters a soft thought: the sampler of that place, under the name that it is given. Of
 *
 *   h -> z = W h -> w = softmax(z / τ) -> w E
 *
 * one quantity q is drawn as q̃ = q + σ ε and recorded; what follows is computed from q̃, what comes before gives the
 * score's mean. σ is in the unit of q, and in each of its coordinates.
 */
export type Placement<A extends Action = Action> = (name: string, options: MixtureOptions) => Sampler<A>;

/** Throws RangeError for τ <= 0 or σ < 0, naming the sampler. */
export function requireMixture(name: string, { temperature, noiseScale }: MixtureOptions): void {
  if (!(temperature > 0)) {
    throw new RangeError(`${name}: expected a temperature > 0, got ${temperature}; for one-hot tokens use hard()`);
  }
  if (!(noiseScale >= 0)) throw new RangeError(`${name}: expected a noise scale >= 0, got ${noiseScale}`);
}

/** softmax(z / τ). The gaps come first: at τ = 1e-4 that keeps the digits. */
export function weightsAt(logits: tf.Tensor, temperature: number): tf.Tensor {
  const gaps = tf.sub(logits, tf.max(logits, -1, true));
  return tf.softmax(tf.div(gaps, temperature));
}

/** q̃ = q + σ ε, `[B, n]`; at σ = 0 q itself, and nothing is drawn. */
export function perturbed<T extends tf.Tensor>(mean: T, noiseScale: number, noise: Noise): T {
  return noiseScale === 0 ? mean : tf.add(mean, tf.mul(noise.normal(mean.shape.at(-1)!), noiseScale));
}

/**
 * log N(q̃; q, σ² I) = -‖q̃ - q‖² / (2σ²), without the constant -(n/2) log 2πσ²: `[..., n]` -> `[...]`.
 *
 * @throws RangeError when σ = 0, naming the sampler.
 */
export function gaussianLogProb(name: string, drawn: tf.Tensor, mean: () => tf.Tensor, noiseScale: number) {
  if (noiseScale === 0) {
    throw new RangeError(`${name}: expected a noise scale > 0 to score, got 0; a noiseless mixture has no density`);
  }
  const squared = tf.sum(tf.square(tf.sub(drawn, mean())), -1);
  return tf.mul(squared, -1 / (2 * noiseScale ** 2)) as tf.Tensor2D;
}
