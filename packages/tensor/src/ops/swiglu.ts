import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

const op = fusedOp<{ gate: tf.Tensor; up: tf.Tensor }, Record<string, never>, object>({
  name: 'SwiGlu',
  definition: ({ gate, up }) => tf.mul(tf.mul(gate, tf.sigmoid(gate)), up),
  gradient: (dy, { gate, up }) => {
    const s = tf.sigmoid(gate);
    const silu = tf.mul(gate, s);
    return {
      // silu'(g) = s + g s (1 - s) = s + silu (1 - s)
      gate: tf.mul(tf.mul(dy, up), tf.add(s, tf.mul(silu, tf.sub(1, s)))),
      up: tf.mul(dy, silu),
    };
  },
});

/**
 * The gated activation of a SwiGLU layer:
 *
 *   y = silu(gate) up,   silu(g) = g σ(g)
 *
 * - `gate`, `up`: `[..., m]`; returns `[..., m]`
 *
 * @throws RangeError when the shapes differ.
 * Reference: Shazeer 2020, arXiv:2002.05202, eq. 5.
 * @example swiglu(tf.scalar(0), tf.scalar(5)); // 0
 */
export function swiglu(gate: tf.Tensor, up: tf.Tensor): tf.Tensor {
  if (!tf.util.arraysEqual(gate.shape, up.shape)) {
    throw new RangeError(`swiglu: expected gate and up of one shape, got [${gate.shape}] and [${up.shape}]`);
  }
  return op({ gate, up }, {}, {});
}
