import * as tf from '@tensorflow/tfjs-core';
import { runKernel } from './fused.js';

export interface AdamWOptions {
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** The number of this update, from 1: it corrects the bias of the moments, which start at 0. */
  step: number;
}

/** A parameter and its moments, each of the parameter's shape. */
export interface AdamWState {
  parameter: tf.Tensor;
  /** m, the running mean of the gradient. */
  firstMoment: tf.Tensor;
  /** v, the running mean of its square. */
  secondMoment: tf.Tensor;
}

/**
 * One AdamW update of one parameter:
 *
 *   m ← β₁ m + (1 - β₁) g,   v ← β₂ v + (1 - β₂) g²
 *   θ ← θ - η λ θ - η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε)
 *
 * Returns new tensors; the caller disposes the old ones.
 *
 * @throws RangeError when `step` is not at least 1, or a shape is not the parameter's.
 * Reference: Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2 (weight decay times η, as PyTorch does).
 * @example const next = adamWStep(state, gradient, { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1 });
 */
export function adamWStep(state: AdamWState, gradient: tf.Tensor, options: AdamWOptions): AdamWState {
  if (!(options.step >= 1)) {
    throw new RangeError(`adamWStep: expected step >= 1, got ${options.step}; the first update is number 1`);
  }
  const { parameter, firstMoment, secondMoment } = state;
  for (const [name, { shape }] of Object.entries({ gradient, firstMoment, secondMoment })) {
    if (!tf.util.arraysEqual(shape, parameter.shape)) {
      throw new RangeError(
        `adamWStep: ${name}: expected the parameter's shape [${parameter.shape}], got [${shape}]; ` +
          'give each parameter its own',
      );
    }
  }
  const fused = runKernel('AdamW', { parameter, gradient, firstMoment, secondMoment }, options);
  if (fused) return { parameter: fused[0]!, firstMoment: fused[1]!, secondMoment: fused[2]! };
  const { learningRate, beta1, beta2, eps, weightDecay, step } = options;
  return tf.tidy(() => {
    const m = tf.add(tf.mul(firstMoment, beta1), tf.mul(gradient, 1 - beta1));
    const v = tf.add(tf.mul(secondMoment, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const denominator = tf.add(tf.sqrt(tf.div(v, 1 - beta2 ** step)), eps);
    const update = tf.div(tf.mul(m, learningRate / (1 - beta1 ** step)), denominator);
    const decayed = tf.mul(parameter, 1 - learningRate * weightDecay);
    return { parameter: tf.sub(decayed, update), firstMoment: m, secondMoment: v };
  });
}
