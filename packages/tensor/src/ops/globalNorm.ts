import * as tf from '@tensorflow/tfjs-core';
import { runKernel } from './fused.js';

/**
 * The norm of all gradients taken as one vector:
 *
 *   ‖g‖ = √(Σ over all tensors and entries of g²)
 *
 * Summed tensor by tensor, each sum a float32, then in float64: a tensor whose Σ g² is above 3.4e38 has the norm Infinity, and
 * the sum of a large one is rounded as its engine adds; the native engine adds in float64.
 *
 * @example globalNorm([tf.tensor1d([3]), tf.tensor1d([4])]); // 5
 */
export function globalNorm(gradients: readonly tf.Tensor[]): number {
  const squares = gradients.map((g) => tf.tidy(() => sumSquares(g).dataSync()[0]!));
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
}

const sumSquares = (x: tf.Tensor): tf.Tensor => runKernel('SumSquares', { x }, {})?.[0] ?? tf.sum(tf.square(x));

/**
 * Gradients scaled down, all by one factor, so that their global norm is at most `maxNorm`:
 *
 *   g ← g min(1, maxNorm / ‖g‖)
 *
 * Takes the gradients over: each is freed once it is scaled, so that no two sets are held at once; those that are small
 * enough are returned as they are. Returns the norm before clipping, too. Nothing is freed when it throws.
 *
 * @throws RangeError when `maxNorm` is not positive, or the norm is not finite.
 * Reference: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
 * @example const { gradients, norm } = clipByGlobalNorm([g1, g2], 1);
 */
export function clipByGlobalNorm(
  gradients: readonly tf.Tensor[],
  maxNorm: number,
): { gradients: tf.Tensor[]; norm: number } {
  if (!(maxNorm > 0))
    throw new RangeError(`clipByGlobalNorm: expected maxNorm > 0, got ${maxNorm}; for no limit give Infinity`);
  const norm = globalNorm(gradients);
  if (!Number.isFinite(norm)) {
    throw new RangeError(`clipByGlobalNorm: expected finite gradients, got a norm of ${norm}; lower the learning rate`);
  }
  const factor = Math.min(1, maxNorm / norm);
  const scaled = (gradient: tf.Tensor): tf.Tensor => {
    const result = tf.mul(gradient, factor);
    gradient.dispose();
    return result;
  };
  return { gradients: factor < 1 ? gradients.map(scaled) : [...gradients], norm };
}
