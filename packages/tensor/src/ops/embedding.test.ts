import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { normal } from '../test/cases.js';
import { embedding } from './embedding.js';

const table = tf.tensor2d.bind(null, [
  [1, 2],
  [3, 4],
  [5, 6],
]);

eachEngine(useEngine, (engine) => {
  test('golden: rows, in the shape of the ids', () => {
    const ids = tf.tensor2d([2, 0, 2, 1], [2, 2], 'int32');
    expectClose(embedding(table(), ids), tf.tensor3d([5, 6, 1, 2, 5, 6, 3, 4], [2, 2, 2]));
    expectClose(embedding(table(), tf.scalar(1, 'int32')), tf.tensor1d([3, 4]));
  });

  test('golden gradient: rows of an id that repeats are summed, unused rows get 0', () => {
    const ids = tf.tensor1d([2, 0, 2], 'int32');
    const dy = tf.tensor2d([1, 10, 2, 20, 4, 40], [3, 2]);
    const gradient = tf.grad((t) => embedding(t as tf.Tensor2D, ids))(table(), dy);
    expectClose(gradient, tf.tensor2d([2, 20, 0, 0, 5, 50], [3, 2]));
  });

  test('gradient', () => {
    const ids = tf.tensor2d([3, 1, 1, 0, 3, 3], [2, 3], 'int32');
    checkGradient((t) => embedding(t, ids), [normal<tf.Tensor2D>([5, 4], 1)]);
  });

  test.runIf(engine === 'native' || engine === 'wasm')('refuses ids outside the table, and says which', () => {
    expect(() => embedding(table(), tf.tensor1d([0, 2, 3], 'int32'))).toThrow(
      new RangeError('embedding: ids[2]: expected an id in 0..2, got 3; use the tokenizer that belongs to the table'),
    );
    expect(() => embedding(table(), tf.tensor1d([-1], 'int32'))).toThrow(/ids\[0\]: expected an id in 0\.\.2, got -1;/);
  });

  test('refuses ids that are not integers', () => {
    expect(() => embedding(table(), tf.tensor1d([1]))).toThrow(
      new TypeError('embedding: expected ids of dtype int32, got float32; cast them'),
    );
  });
});
