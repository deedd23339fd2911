import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';
import { asMatrix, lastDim, matMul } from './matMul.js';

const product = fusedOp<{ x: tf.Tensor2D; weight: tf.Tensor2D }, Record<string, never>, object>({
  name: 'Linear',
  definition: ({ x, weight }) => matMul(x, weight, false, true),
  gradient: (dy, { x, weight }, _constants, _attributes, wanted) => ({
    x: wanted('x') ? matMul(dy as tf.Tensor2D, weight) : undefined,
    weight: wanted('weight') ? matMul(dy as tf.Tensor2D, x, true, false) : undefined,
  }),
});

/**
 * A linear layer with the weight as checkpoints store it:
 *
 *   y = x Wᵀ + b,   dx = dy W,   dW = dyᵀ x,   db = Σ dy
 *
 * - `x`: `[..., in]`; `weight`: `[out, in]`; `bias`: `[out]`; returns `[..., out]`
 *
 * @throws RangeError when the widths do not fit.
 * @example linear(tf.ones([2, 3]), tf.ones([4, 3])); // [2, 4], all 3
 */
export function linear(x: tf.Tensor, weight: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor {
  if (lastDim(x) !== weight.shape[1]) {
    throw new RangeError(`linear: expected x of width ${weight.shape[1]} (weight [${weight.shape}]), got [${x.shape}]`);
  }
  return tf.tidy(() => {
    const y = product({ x: asMatrix(x), weight }, {}, {});
    const biased = bias ? tf.add(y, bias) : y;
    return tf.reshape(biased, [...x.shape.slice(0, -1), weight.shape[0]]);
  });
}
