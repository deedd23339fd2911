import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { asMatrix, lastDim, matMul } from './matMul.js';

eachEngine(useEngine, () => {
  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('golden: transposeA %s, transposeB %s', (transposeA, transposeB) => {
    const a = tf.tensor2d(transposeA ? [1, 4, 2, 5, 3, 6] : [1, 2, 3, 4, 5, 6], transposeA ? [3, 2] : [2, 3]);
    const b = tf.tensor2d(transposeB ? [1, 0, 2, -1, 1, 0] : [1, -1, 0, 1, 2, 0], transposeB ? [2, 3] : [3, 2]);
    const before = tf.memory().numTensors;
    const product = matMul(a, b, transposeA, transposeB);
    expect(tf.memory().numTensors).toBe(before + 1); // the transposes are gone
    // [1 2 3; 4 5 6] [1 -1; 0 1; 2 0]
    expectClose(product, tf.tensor2d([7, 1, 16, 1], [2, 2]));
  });

  test('asMatrix keeps the last axis', () => {
    expect(asMatrix(tf.zeros([2, 3, 4])).shape).toEqual([6, 4]);
    expect(asMatrix(tf.zeros([4])).shape).toEqual([1, 4]);
    expect(lastDim(tf.zeros([2, 3, 4]))).toBe(4);
  });
});
