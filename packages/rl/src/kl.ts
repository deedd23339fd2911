import * as tf from '@tensorflow/tfjs-core';

/** How a divergence is estimated from one draw; `klEstimate` has the formulas. */
export type KlEstimator = 'k1' | 'k2' | 'k3';

/**
 * Estimates of KL(π ‖ π_ref) at tokens drawn from π, with r = log π_ref - log π:
 *
 *   k1 = -r      k2 = r² / 2      k3 = exp(r) - 1 - r
 *
 * The mean of k1 and of k3 is the divergence, k3 with less spread and never below 0; k2 is biased, but by little where
 * the two are close. As values only: the gradient of their mean is not the gradient of the divergence, but for k2.
 *
 * - `logProb`, `reference`: nats, of one shape; returns that shape
 *
 * Reference: Schulman 2020, "Approximating KL divergence", joschu.net/blog/kl-approx.html.
 * @example klEstimate(tf.tensor1d([-1]), tf.tensor1d([-1.2]), 'k3'); // [0.01873]
 */
export function klEstimate<T extends tf.Tensor>(logProb: T, reference: T, estimator: KlEstimator): T {
  return tf.tidy(() => {
    const r = tf.sub(reference, logProb);
    if (estimator === 'k1') return tf.neg(r);
    if (estimator === 'k2') return tf.div(tf.square(r), 2);
    return tf.sub(tf.expm1(r), r);
  }) as T;
}

/**
 * KL of two Gaussians of one σ in each coordinate, which is symmetric: what a noisy thought step may be held near to.
 *
 *   KL(N(μ, σ² I) ‖ N(ν, σ² I)) = ‖μ - ν‖² / (2σ²)
 *
 * - `mean` μ, `reference` ν: `[..., n]`; `noiseScale` σ > 0; returns `[...]`, nats
 *
 * @throws RangeError when σ is not > 0.
 * @example gaussianKl(tf.tensor1d([0.1, 0.2]), tf.tensor1d([0, 0.25]), 0.1); // 0.625
 */
export function gaussianKl(mean: tf.Tensor, reference: tf.Tensor, noiseScale: number): tf.Tensor {
  if (!(noiseScale > 0)) throw new RangeError(`gaussianKl: expected a noise scale > 0, got ${noiseScale}`);
  return tf.tidy(() => tf.div(tf.sum(tf.square(tf.sub(mean, reference)), -1), 2 * noiseScale ** 2));
}
