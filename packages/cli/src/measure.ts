// How fast the engine in use is.
import { uniformArray } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

/** Waits until a tensor is computed, which may be only when it is read, without reading more of it than one element. */
export async function computed(x: tf.Tensor): Promise<void> {
  const one = tf.tidy(() =>
    tf.slice(
      x,
      x.shape.map(() => 0),
      x.shape.map(() => 1),
    ),
  );
  await one.data();
  one.dispose();
}

/** Seconds after which a measurement makes no further run. */
const ENOUGH = 1;

/** The speed of the product `[M, K]` times `[K, N]`, in GFLOP/s: 2 M K N operations over the best of several runs. */
export async function measureProduct([M, K, N]: readonly [number, number, number], runs = 5): Promise<number> {
  const [a, b] = [randomMatrix(M, K), randomMatrix(K, N)];
  let best = Number.POSITIVE_INFINITY;
  const began = performance.now();
  for (let i = 0; i <= runs; i++) {
    const started = performance.now();
    const product = tf.matMul(a, b);
    await computed(product);
    product.dispose();
    if (i > 0) best = Math.min(best, performance.now() - started); // the first run warms up
    if (i > 0 && performance.now() - began > 1000 * ENOUGH) break;
  }
  tf.dispose([a, b]);
  return (2 * M * K * N) / (best / 1000) / 1e9;
}

function randomMatrix(rows: number, columns: number): tf.Tensor2D {
  const address = { seed: 1, step: 0, sample: 0, position: 0, stream: 0 };
  return tf.tensor2d(uniformArray(address, rows * columns), [rows, columns]);
}

/**
 * The speed of a matrix product on the engine in use, in GFLOP/s: 2 n³ operations over the best of several runs.
 *
 * @example await measureMatMul(256); // 12.5
 */
export function measureMatMul(n = 256, runs = 5): Promise<number> {
  return measureProduct([n, n, n], runs);
}

/** Products whose best speed counts as the engine's peak, from small to large. */
const peakShapes = [
  [256, 256, 256],
  [512, 896, 896],
  [512, 896, 4864],
  [2048, 2048, 2048],
] as const;

/**
 * The best speed of a matrix product over a few shapes on the engine in use, in GFLOP/s. Shapes that an engine needs
 * seconds for are left out.
 *
 * @example await measurePeak(); // 98.4
 */
export async function measurePeak(): Promise<number> {
  let best = 0;
  for (const shape of peakShapes) {
    const [M, K, N] = shape;
    const seconds = (2 * M * K * N) / (best * 1e9);
    if (best > 0 && seconds > ENOUGH) break;
    best = Math.max(best, await measureProduct(shape));
  }
  return best;
}
