import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

/** √(8/π), and the cubic term's weight. */
const [LINEAR, CUBIC] = [Math.sqrt(8 / Math.PI), 0.044715];

/** s = σ(u) with u = √(8/π) (g + 0.044715 g³), so that gelu(g) = g s, since (1 + tanh(u/2)) / 2 = σ(u). */
const gateOf = (g: tf.Tensor) =>
  tf.sigmoid(tf.mul(tf.mul(g, LINEAR), tf.add(1, tf.mul(tf.square(g), CUBIC)))) as tf.Tensor;

const op = fusedOp<{ gate: tf.Tensor; up: tf.Tensor }, Record<string, never>, object>({
  name: 'GeGlu',
  definition: ({ gate, up }) => tf.mul(tf.mul(gate, gateOf(gate)), up),
  gradient: (dy, { gate, up }) => {
    const s = gateOf(gate);
    const gelu = tf.mul(gate, s);
    const slope = tf.mul(LINEAR, tf.add(1, tf.mul(tf.square(gate), 3 * CUBIC))); // u'(g)
    return {
      gate: tf.mul(tf.mul(dy, up), tf.add(s, tf.mul(tf.mul(gelu, tf.sub(1, s)), slope))),
      up: tf.mul(dy, gelu),
    };
  },
});

/**
 * The gated activation of a GEGLU layer, by the approximation of GELU that Gemma is trained with (`gelu_pytorch_tanh`):
 *
 *   y = gelu(gate) up,   gelu(g) = g (1 + tanh(√(2/π) (g + 0.044715 g³))) / 2
 *
 * - `gate`, `up`: `[..., m]`; returns `[..., m]`
 *
 * @throws RangeError when the shapes differ.
 * References: Shazeer 2020, arXiv:2002.05202, eq. 5; Hendrycks and Gimpel 2016, arXiv:1606.08415, sec. 2.
 * @example geglu(tf.scalar(0), tf.scalar(5)); // 0
 */
export function geglu(gate: tf.Tensor, up: tf.Tensor): tf.Tensor {
  if (!tf.util.arraysEqual(gate.shape, up.shape)) {
    throw new RangeError(`geglu: expected gate and up of one shape, got [${gate.shape}] and [${up.shape}]`);
  }
  return op({ gate, up }, {}, {});
}
