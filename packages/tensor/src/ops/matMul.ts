import * as tf from '@tensorflow/tfjs-core';

/**
 * The matrix product of two matrices, either transposed: op(a) op(b).
 *
 * - `a`: `[M, K]`, or `[K, M]` with `transposeA`; `b`: `[K, N]`, or `[N, K]` with `transposeB`; returns `[M, N]`
 *
 * Not differentiable: for use inside definitions and gradients. The WebAssembly engine reaches its fast product only
 * without transpose flags (about 25 against 2.5 GFLOP/s at 2560 x 64 x 176), so there the transpose is made first.
 */
export function matMul(a: tf.Tensor2D, b: tf.Tensor2D, transposeA = false, transposeB = false): tf.Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB);
  return tf.tidy(() => tf.matMul(transposeA ? tf.transpose(a) : a, transposeB ? tf.transpose(b) : b));
}

/** A tensor `[..., n]` as a matrix `[rows, n]`. */
export function asMatrix(x: tf.Tensor): tf.Tensor2D {
  return tf.reshape(x, [-1, lastDim(x)]);
}

/** The size of the last axis. */
export function lastDim(x: tf.Tensor): number {
  return x.shape[x.rank - 1]!;
}
