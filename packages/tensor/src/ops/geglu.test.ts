import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, normal, rowOf } from '../test/cases.js';
import { geglu } from './geglu.js';

eachEngine(useEngine, () => {
  test.each(cases.geglu)('as PyTorch: $name', (recorded) => {
    expectCase(recorded, ({ gate, up }) => geglu(gate!, up!));
  });

  test('golden', () => {
    // gelu(1) = (1 + tanh(0.7978845608 · 1.044715)) / 2 = 0.841191991, and gelu(-1) = gelu(1) - 1
    expectClose(geglu(tf.tensor1d([0, 1, -1]), tf.tensor1d([5, 2, 2])), tf.tensor1d([0, 1.682383982, -0.317616018]));
  });

  test('gradient', () => {
    checkGradient((gate, up) => geglu(gate, up), [normal([2, 3, 4], 1), normal([2, 3, 4], 2)]);
  });

  test('large gates give finite values and gradients', () => {
    const [gate, up] = [tf.tensor1d([-1e15, -1e4, 1e4, 1e15]), tf.tensor1d([3, 3, 3, 3])];
    expectClose(geglu(gate, up), tf.tensor1d([0, 0, 3e4, 3e15]));
    expectClose(tf.grad((g) => geglu(g, up))(gate), tf.tensor1d([0, 0, 3, 3]));
  });

  test('a batch is its rows', () => {
    const [gate, up] = [normal([3, 4], 1), normal([3, 4], 2)];
    const y = geglu(gate, up);
    for (let row = 0; row < 3; row++) expectClose(geglu(rowOf(gate, row), rowOf(up, row)), rowOf(y, row));
  });

  test('refuses shapes that differ', () => {
    expect(() => geglu(tf.ones([2, 3]), tf.ones([3]))).toThrow(
      new RangeError('geglu: expected gate and up of one shape, got [2,3] and [3]'),
    );
  });
});
