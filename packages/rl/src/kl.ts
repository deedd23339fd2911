import type { LanguageModel } from '@soft-tokens/samplers';
import * as tf from '@tensorflow/tfjs-core';
import type { Scorer, Scores } from './score.js';

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

/**
 * A penalty on leaving a reference policy, in nats of whole sequences: thought and answer, at the temperatures that they
 * are drawn at. With r_t = log π_ref - log π of what was drawn at step t:
 *
 *   reward:  r'_n = r_n - β Σ_t -r_t                     before the baseline, as a constant
 *   loss:    L' = L + β (1/N) Σ_n Σ_t D_t                differentiated
 *
 * In the reward, the policy gradient is that of E[r] - β KL(π ‖ π_ref), unbiased, for tokens and noisy steps alike.
 *
 * In the loss, D_t of a token is k2, whose gradient is on average that of KL(π ‖ π_ref), or k3, whose gradient is on average
 * that of KL(π_ref ‖ π); D_t of a noisy step is the divergence of the two Gaussians itself, `gaussianKl`. Both are of each
 * step after what came before it: how a step changes what later steps diverge by is left out.
 *
 * No other estimator is taken. The gradient of k1 is 0 on average: as a loss it would hold nothing. k2 and k3 as rewards
 * lack the gradient of the estimate itself.
 *
 * As in the policy gradient, where the shadow text ends a thought is not part of its probability.
 *
 * References: Schulman 2020, joschu.net/blog/kl-approx.html; Tang and Munos 2025, arXiv:2506.09477, on the gradients; in the
 * reward as Ahmadian et al. 2024, arXiv:2402.14740, in the loss as Shao et al. 2024, arXiv:2402.03300.
 */
export type KlPenalty = {
  /** The policy to stay near: usually the model that training started from. It is not changed. */
  reference: LanguageModel;
  /** β > 0, in the rewards' unit a nat. */
  coefficient: number;
} & ({ in: 'reward'; estimator?: 'k1' } | { in: 'loss'; estimator?: 'k2' | 'k3' });

/**
 * Throws for a penalty that would not be what it says.
 *
 * @throws RangeError unless β is > 0 and finite, and the estimator one that its place allows; TypeError for a sampler
 * without a `distribution`.
 */
export function requireKl({ coefficient, estimator, in: place }: KlPenalty, { name, distribution }: NamedScorer): void {
  if (!(coefficient > 0 && Number.isFinite(coefficient))) {
    throw new RangeError(`kl: expected a coefficient > 0, got ${coefficient}; leave kl out for none`);
  }
  const allowed: readonly KlEstimator[] = place === 'reward' ? ['k1'] : ['k2', 'k3'];
  if (estimator !== undefined && !allowed.includes(estimator)) {
    throw new RangeError(
      `kl: expected ${allowed.join(' or ')} in the ${place}, got ${estimator}, whose gradient there is not a divergence's`,
    );
  }
  if (!distribution) {
    throw new TypeError(
      `kl: expected a sampler whose steps have a distribution, got ${name}, which may draw what the reference never does; ` +
        'choose another placement of the noise, or leave kl out',
    );
  }
}

type NamedScorer = Scorer & { readonly name: string };

/** Σ_t log π - log π_ref of what was drawn: k1 of whole sequences, `[N]`, nats. */
export function sequenceLogRatio(policy: Scores, reference: Scores): tf.Tensor1D {
  // Step by step first: the sums are large, and their difference is small.
  return tf.tidy(() => {
    const [thought, answer] = (['thought', 'answer'] as const).map((part) =>
      tf.sum(klEstimate(policy[part], reference[part], 'k1'), 1),
    );
    return tf.add(thought!, answer!);
  });
}

/**
 * Σ_t D_t of each sequence, `[N]`, nats; see `KlPenalty`. Differentiable in the policy's scores.
 *
 * - `scorer`: the sampler that both were scored by
 */
export function sequenceDivergence(
  policy: Scores,
  reference: Scores,
  { distribution }: Scorer,
  estimator: 'k2' | 'k3',
): tf.Tensor1D {
  const thought =
    distribution?.kind === 'gaussian'
      ? gaussianKl(policy.mean!(), reference.mean!(), distribution.noiseScale)
      : klEstimate(policy.thought, reference.thought, estimator);
  return tf.add(tf.sum(thought, 1), tf.sum(klEstimate(policy.answer, reference.answer, estimator), 1));
}
