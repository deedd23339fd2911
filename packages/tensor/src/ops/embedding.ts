import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

const op = fusedOp<{ table: tf.Tensor2D }, { ids: tf.Tensor1D }, object>({
  name: 'EmbeddingLookup',
  definition: ({ table }, { ids }) => tf.gather(table, ids),
  // Scatter-add; the stock gradient of `gather` needs UnsortedSegmentSum, which the WebAssembly engine lacks.
  gradient: (dy, { table }, { ids }) => ({ table: tf.scatterND(tf.expandDims(ids, 1), dy, table.shape) }),
});

/**
 * Rows of a table:
 *
 *   y[...] = table[ids[...]],   dtable[v] = Σ over {ids = v} of dy
 *
 * - `table`: `[V, d]`; `ids`: `[...]` int32, each in 0..V-1; returns `[..., d]`
 *
 * Ids outside the table are an error where the engine looks at them, and undefined behaviour where it cannot without
 * reading them back from a device: check them where they enter.
 *
 * @throws TypeError when the ids are not int32.
 * @example embedding(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor1d([1, 1], 'int32')); // [[3, 4], [3, 4]]
 */
export function embedding(table: tf.Tensor2D, ids: tf.Tensor): tf.Tensor {
  if (ids.dtype !== 'int32') throw new TypeError(`embedding: expected ids of dtype int32, got ${ids.dtype}; cast them`);
  return tf.tidy(() => {
    const rows = op({ table }, { ids: tf.reshape(ids, [-1]) }, {});
    return tf.reshape(rows, [...ids.shape, table.shape[1]]);
  });
}
