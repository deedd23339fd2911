// Outside of `tf.tidy`, an operation leaves its result behind and nothing else.
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { attention } from './attention.js';
import { embedding } from './embedding.js';
import { geglu } from './geglu.js';
import { headLogits, headLogProb, headMixture } from './head.js';
import { linear } from './linear.js';
import { rmsNorm } from './rmsNorm.js';
import { rotary, rotaryTable } from './rotary.js';
import { swiglu } from './swiglu.js';

eachEngine(useEngine, () => {
  const x = tf.ones([2, 3, 4]);
  const weight = tf.ones([5, 4]) as tf.Tensor2D;
  const bias = tf.ones([5]) as tf.Tensor1D;
  const scale = tf.ones([4]) as tf.Tensor1D;
  const ids = tf.zeros([2, 3], 'int32');
  const heads = tf.ones([2, 3, 2, 4]) as tf.Tensor4D;
  const angles = rotaryTable({ headDim: 4, theta: 1e4 }, Int32Array.of(0, 1, 2), [1, 3]);

  test.each<[string, () => tf.Tensor]>([
    ['linear', () => linear(x, weight, bias)],
    ['rmsNorm', () => rmsNorm(x, scale, 1e-6)],
    ['rotary', () => rotary(heads, angles)],
    ['attention', () => attention(heads, heads, heads)],
    ['swiglu', () => swiglu(x, x)],
    ['geglu', () => geglu(x, x)],
    ['embedding', () => embedding(weight, ids)],
    ['headLogits', () => headLogits(x, weight)],
    ['headLogProb', () => headLogProb(x, weight, ids, 1)],
    ['headMixture', () => headMixture(x, weight, weight, 1)],
  ])('%s', (_, run) => {
    const before = tf.memory().numTensors;
    const y = run();
    expect(tf.memory().numTensors).toBe(before + 1);
    y.dispose();
  });
});
