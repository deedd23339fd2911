import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';
import { asMatrix, lastDim } from './matMul.js';

const normalize = (x: tf.Tensor, eps: number): { xHat: tf.Tensor; scale: tf.Tensor } => {
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps));
  return { xHat: tf.mul(x, scale), scale };
};

const op = fusedOp<{ x: tf.Tensor; weight: tf.Tensor1D }, Record<string, never>, { eps: number }>({
  name: 'RmsNorm',
  definition: ({ x, weight }, _, { eps }) => tf.mul(normalize(x, eps).xHat, weight),
  gradient: (dy, { x, weight }, _, { eps }, wanted) => {
    const { xHat, scale } = normalize(x, eps);
    const g = tf.mul(dy, weight);
    return {
      x: tf.mul(tf.sub(g, tf.mul(xHat, tf.mean(tf.mul(g, xHat), -1, true))), scale),
      weight: wanted('weight') ? tf.sum(asMatrix(tf.mul(dy, xHat)), 0) : undefined,
    };
  },
});

/**
 * Root-mean-square normalisation over the last axis:
 *
 *   y = w x̂,   x̂ = x / √(mean(x²) + ε)
 *   dx = (g - x̂ mean(g x̂)) / √(mean(x²) + ε)  with g = w dy,   dw = Σ dy x̂
 *
 * - `x`: `[..., d]`; `weight`: `[d]`; returns `[..., d]`
 *
 * @throws RangeError when the widths do not fit.
 * Reference: Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4.
 * @example rmsNorm(tf.tensor1d([3, 4]), tf.ones([2]), 0); // [0.8485, 1.1314]
 */
export function rmsNorm(x: tf.Tensor, weight: tf.Tensor1D, eps: number): tf.Tensor {
  if (lastDim(x) !== weight.size) {
    throw new RangeError(`rmsNorm: expected x of width ${weight.size}, got [${x.shape}]`);
  }
  return op({ x, weight }, {}, { eps });
}
