import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectNear, tensorOf } from '../test/cases.js';
import { clipByGlobalNorm, globalNorm } from './globalNorm.js';

eachEngine(useEngine, (engine) => {
  test.each(cases.clipByGlobalNorm)('as PyTorch: $name', ({ inputs, maxNorm, norm, output }) => {
    const names = Object.keys(inputs);
    const clipped = clipByGlobalNorm(
      names.map((name) => tensorOf(inputs[name]!)),
      maxNorm,
    );
    expectClose([clipped.norm], [norm], { rel: 1e-6, abs: 0 });
    names.forEach((name, i) => {
      expectNear(clipped.gradients[i]!, output[name]!, 1e-6);
    });
  });

  test('golden: 3, 4 and 12 in three tensors have norm 13', () => {
    const tensors = [tf.tensor1d([3]), tf.tensor2d([[0, 4]]), tf.scalar(-12)];
    expect(globalNorm(tensors)).toBe(13);
    expect(globalNorm([])).toBe(0);
    expectClose(clipByGlobalNorm(tensors, 1.3).gradients[2]!, tf.scalar(-1.2));
  });

  test('many entries, and one tensor beyond float32', () => {
    const n = 100_003;
    const values = Float32Array.from({ length: n }, (_, i) => ((i % 201) - 100) / 64);
    const want = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)); // exact: steps of 1/64 in float64
    const rel = engine === 'native' ? 1e-7 : 3e-4; // the others add 100,003 squares in float32
    expectClose([globalNorm([tf.tensor(values), tf.tensor(values)])], [want * Math.SQRT2], { rel, abs: 0 });
    expect(globalNorm([tf.tensor1d([3e19])])).toBe(Infinity);
    expect(globalNorm([tf.tensor1d([1, Number.NaN])])).toBeNaN();
  });

  test('the norm after clipping is the largest allowed, never more', () => {
    const { gradients } = clipByGlobalNorm([tf.tensor1d([300, -400]), tf.tensor1d([1200])], 2);
    expectClose([globalNorm(gradients)], [2]);
  });

  test('small gradients come back as they are; larger ones are freed as they are scaled', () => {
    const small = tf.tensor1d([0.1, 0.2]);
    expect(clipByGlobalNorm([small], 1).gradients).toEqual([small]);
    expect(small.isDisposed).toBe(false);
    const large = [tf.tensor1d([300]), tf.tensor1d([-400])];
    const before = tf.memory().numTensors;
    const { gradients } = clipByGlobalNorm(large, 1);
    expect(tf.memory().numTensors).toBe(before);
    expect(large.every(({ isDisposed }) => isDisposed)).toBe(true);
    tf.dispose([...gradients, small]);
  });

  test('refuses a limit of 0 and gradients that are not finite', () => {
    const kept = tf.tensor1d([Infinity]);
    expect(() => clipByGlobalNorm([kept], 1)).toThrow();
    expect(kept.isDisposed).toBe(false);
    expect(() => clipByGlobalNorm([], 0)).toThrow(
      new RangeError('clipByGlobalNorm: expected maxNorm > 0, got 0; for no limit give Infinity'),
    );
    expect(clipByGlobalNorm([tf.tensor1d([3, 4])], Infinity).norm).toBe(5);
    for (const bad of [Number.NaN, Infinity]) {
      expect(() => clipByGlobalNorm([tf.tensor1d([1, bad])], 1)).toThrow(
        new RangeError(`clipByGlobalNorm: expected finite gradients, got a norm of ${bad}; lower the learning rate`),
      );
    }
  });
});
