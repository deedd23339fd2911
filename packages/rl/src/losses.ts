import * as tf from '@tensorflow/tfjs-core';

/**
 * The REINFORCE loss of a batch of sequences:
 *
 *   L = -(1/N) Σ_n sg(A_n) l_n,   l_n = Σ over all drawn tokens of log π
 *
 * A sum over tokens: no length normalisation, no ratio, no clipping. `total` N is the batch's number of sequences (B
 * prompts times G samples), so that the losses of micro-batches add up to that of the batch.
 *
 * - `sequenceLogProb` l: `[n]`, nats; `advantages` A: `[n]`, constants; returns a scalar
 *
 * Reference: Soft Tokens, Hard Truths, arXiv:2509.19170, eq. 14.
 * @example reinforceLoss(tf.tensor1d([-3, -5]), [10, -10], 2); // -(10·(-3) + (-10)·(-5)) / 2 = -10
 */
export function reinforceLoss(sequenceLogProb: tf.Tensor1D, advantages: readonly number[], total: number): tf.Scalar {
  const weights = tf.tensor1d(advantages.map((advantage) => -advantage / total));
  return tf.sum(tf.mul(sequenceLogProb, weights));
}

/**
 * The supervised loss of a batch of sequences, a mean over its tokens:
 *
 *   L = -(1/M) Σ_n l_n,   l_n = Σ over the scored tokens of log π
 *
 * - `sequenceLogProb` l: `[n]`, nats; `tokens` M: the number of scored tokens in the whole batch; returns a scalar
 *
 * @example crossEntropy(tf.tensor1d([-3, -5]), 4); // 2 nats a token
 */
export function crossEntropy(sequenceLogProb: tf.Tensor1D, tokens: number): tf.Scalar {
  return tf.div(tf.neg(tf.sum(sequenceLogProb)), tokens);
}
