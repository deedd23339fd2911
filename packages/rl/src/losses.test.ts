import { useEngine } from '@soft-tokens/tensor';
import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { test } from 'vitest';
import { leaveOneOut } from './advantages.js';
import { crossEntropy, reinforceLoss } from './losses.js';

eachEngine(useEngine, () => {
  test('golden: rewards 10 and 0, log-probabilities -3 and -5', () => {
    expectClose(reinforceLoss(tf.tensor1d([-3, -5]), leaveOneOut([10, 0]), 2), tf.scalar(-10));
    expectClose(crossEntropy(tf.tensor1d([-3, -5]), 4), tf.scalar(2));
  });

  test('gradients: -A / N of each sequence, -1 / M', () => {
    const logProb = tf.tensor1d([-3, -5, 0.5]);
    expectClose(tf.grad((l) => reinforceLoss(l as tf.Tensor1D, [4, -2, 0], 8))(logProb), tf.tensor1d([-0.5, 0.25, 0]));
    expectClose(tf.grad((l) => crossEntropy(l as tf.Tensor1D, 5))(logProb), tf.tensor1d([-0.2, -0.2, -0.2]));
    checkGradient((l) => reinforceLoss(l as tf.Tensor1D, [4, -2, 1], 3), [logProb]);
  });

  test('the losses of parts add up to that of the whole', () => {
    const [l, advantages] = [
      [-3, -5, -1, -2],
      [6, -2, -2, -2],
    ];
    const part = (begin: number, end: number) =>
      reinforceLoss(tf.tensor1d(l.slice(begin, end)), advantages.slice(begin, end), 4).dataSync()[0]!;
    expectClose([part(0, 1) + part(1, 4)], [part(0, 4)]);
  });
});
