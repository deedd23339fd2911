// Matrix products of tfjs by the product kernel.
import * as tf from '@tensorflow/tfjs-core';
import { PLAIN, type Run, TRANSPOSED } from './backend.js';

export const matMulKernels: Record<string, Run> = {
  BatchMatMul({ inputs: { a, b }, attrs, backend, kernels, fallback }) {
    const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
    if (a!.dtype !== 'float32' || b!.dtype !== 'float32') return fallback();
    if (a!.shape.length < 2 || b!.shape.length < 2) return fallback(); // which says what is wrong
    const [batchA, batchB] = [a!.shape.slice(0, -2), b!.shape.slice(0, -2)];
    const [sizeA, sizeB] = [tf.util.sizeFromShape(batchA), tf.util.sizeFromShape(batchB)];
    // Batches of like shape, or one matrix for all; tfjs broadcasts more.
    if (sizeA !== 1 && sizeB !== 1 && !tf.util.arraysEqual(batchA, batchB)) return fallback();
    const [M, K] = operand(a!.shape, transposeA);
    const [Kb, N] = operand(b!.shape, transposeB);
    if (K !== Kb) return fallback();
    const c = backend.output([...tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB), M, N]);
    kernels.batchMatMul!(
      [backend.values(a!), backend.values(b!), backend.values(c)],
      [Math.max(sizeA, sizeB), sizeA, sizeB, M, N, K, transposeA ? 1 : 0, transposeB ? TRANSPOSED : PLAIN],
    );
    return c;
  },
};

/** Rows and columns of the last two axes, transposed or not. */
function operand(shape: number[], transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}
