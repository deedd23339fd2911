import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { normal, rowOf } from '../test/cases.js';
import { linear } from './linear.js';

const W = [
  [3, 4],
  [5, 6],
  [7, 8],
];

eachEngine(useEngine, () => {
  test('golden, with and without bias', () => {
    // [1 2] · [3 4] = 11, · [5 6] = 17, · [7 8] = 23
    expectClose(linear(tf.tensor2d([[1, 2]]), tf.tensor2d(W)), tf.tensor2d([[11, 17, 23]]));
    const biased = linear(tf.tensor2d([[1, 2]]), tf.tensor2d(W), tf.tensor1d([0.5, -17, 100]));
    expectClose(biased, tf.tensor2d([[11.5, 0, 123]]));
  });

  test('golden gradient: dx = dy W, dW = dyᵀ x, db = Σ dy', () => {
    const x = tf.tensor2d([
      [1, 2],
      [3, -1],
    ]);
    const dy = tf.tensor2d([
      [1, 0, -1],
      [0, 2, 1],
    ]);
    const f = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor) => linear(x, w as tf.Tensor2D, b as tf.Tensor1D);
    const [dx, dw, db] = tf.grads(f)([x, tf.tensor2d(W), tf.zeros([3])], dy) as [tf.Tensor, tf.Tensor, tf.Tensor];
    expectClose(dx.dataSync(), [-4, -4, 17, 20]);
    expectClose(dw.dataSync(), [1, 2, 6, -2, 2, -3]);
    expectClose(db, tf.tensor1d([1, 2, 0]));
  });

  test('gradient', () => {
    const inputs: [tf.Tensor3D, tf.Tensor2D, tf.Tensor1D] = [normal([2, 3, 4], 1), normal([5, 4], 2), normal([5], 3)];
    checkGradient((x, w, b) => linear(x, w, b), inputs);
    checkGradient((x, w) => linear(x, w), [inputs[0], inputs[1]]);
  });

  test('a batch is its rows', () => {
    const [x, w, b] = [normal([3, 2, 4], 1), normal<tf.Tensor2D>([5, 4], 2), normal<tf.Tensor1D>([5], 3)];
    const y = linear(x, w, b);
    expect(y.shape).toEqual([3, 2, 5]);
    for (let row = 0; row < 3; row++) expectClose(linear(rowOf(x, row), w, b), rowOf(y, row));
    expectClose(linear(tf.tensor1d([1, 2]), tf.tensor2d(W)), tf.tensor1d([11, 17, 23]));
  });

  test('refuses a width that does not fit', () => {
    expect(() => linear(tf.ones([2, 3]), tf.tensor2d(W))).toThrow(
      new RangeError('linear: expected x of width 2 (weight [3,2]), got [2,3]'),
    );
  });
});
