import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, normal, rowOf } from '../test/cases.js';
import { rmsNorm } from './rmsNorm.js';

eachEngine(useEngine, () => {
  test.each(cases.rmsNorm)('as PyTorch: $name', (recorded) => {
    expectCase(recorded, ({ x, weight }) => rmsNorm(x!, weight as tf.Tensor1D, recorded.eps));
  });

  test('golden', () => {
    // √((9 + 16) / 2) = 3.5355339
    expectClose(rmsNorm(tf.tensor1d([3, 4]), tf.tensor1d([1, 10]), 0), tf.tensor1d([0.848528137, 11.3137085]));
  });

  test('gradient', () => {
    checkGradient((x, w) => rmsNorm(x, w as tf.Tensor1D, 1e-5), [normal([2, 2, 6], 1), normal([6], 2)]);
  });

  test('the scale of a row does not matter', () => {
    const [x, w] = [normal([3, 6], 1), normal<tf.Tensor1D>([6], 2)];
    expectClose(rmsNorm(tf.mul(x, 1000), w, 0), rmsNorm(x, w, 0));
  });

  test('a batch is its rows, and a row of zeros is zeros', () => {
    const [x, w] = [tf.concat([normal([3, 6], 1), tf.zeros([1, 6])]), normal<tf.Tensor1D>([6], 2)];
    const y = rmsNorm(x, w, 1e-6);
    for (let row = 0; row < 4; row++) expectClose(rmsNorm(rowOf(x, row), w, 1e-6), rowOf(y, row));
    expectClose(rowOf(y, 3), tf.zeros([1, 6]));
  });

  test('refuses a width that does not fit', () => {
    expect(() => rmsNorm(tf.ones([2, 3]), tf.ones([4]), 0)).toThrow(
      new RangeError('rmsNorm: expected x of width 4, got [2,3]'),
    );
  });
});
