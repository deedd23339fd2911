import * as tf from '@tensorflow/tfjs-core';

/**
 * The speed of a matrix product on the engine in use, in GFLOP/s: 2 n³ operations over the best of several runs.
 *
 * @example await measureMatMul(256); // 12.5
 */
export async function measureMatMul(n = 256, runs = 5): Promise<number> {
  const [a, b] = [tf.randomUniform([n, n], -1, 1, 'float32', 1), tf.randomUniform([n, n], -1, 1, 'float32', 2)];
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= runs; i++) {
    const started = performance.now();
    const product = tf.matMul(a, b);
    await product.data(); // a product may be computed only when it is read
    product.dispose();
    if (i > 0) best = Math.min(best, performance.now() - started); // the first run warms up
  }
  tf.dispose([a, b]);
  return (2 * n ** 3) / (best / 1000) / 1e9;
}
