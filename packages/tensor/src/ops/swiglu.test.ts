import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, normal, rowOf } from '../test/cases.js';
import { swiglu } from './swiglu.js';

eachEngine(useEngine, () => {
  test.each(cases.swiglu)('as PyTorch: $name', (recorded) => {
    expectCase(recorded, ({ gate, up }) => swiglu(gate!, up!));
  });

  test('golden', () => {
    // silu(1) = 1 / (1 + e⁻¹) = 0.731058579
    expectClose(swiglu(tf.tensor1d([0, 1, -1]), tf.tensor1d([5, 2, 2])), tf.tensor1d([0, 1.46211716, -0.537882843]));
  });

  test('gradient', () => {
    checkGradient((gate, up) => swiglu(gate, up), [normal([2, 3, 4], 1), normal([2, 3, 4], 2)]);
  });

  test('large gates give finite values and gradients', () => {
    const [gate, up] = [tf.tensor1d([-1e4, 1e4]), tf.tensor1d([3, 3])];
    expectClose(swiglu(gate, up), tf.tensor1d([0, 3e4]));
    expectClose(tf.grad((g) => swiglu(g, up))(gate), tf.tensor1d([0, 3]));
  });

  test('a batch is its rows', () => {
    const [gate, up] = [normal([3, 4], 1), normal([3, 4], 2)];
    const y = swiglu(gate, up);
    for (let row = 0; row < 3; row++) expectClose(swiglu(rowOf(gate, row), rowOf(up, row)), rowOf(y, row));
  });

  test('refuses shapes that differ', () => {
    expect(() => swiglu(tf.ones([2, 3]), tf.ones([3]))).toThrow(
      new RangeError('swiglu: expected gate and up of one shape, got [2,3] and [3]'),
    );
  });
});
