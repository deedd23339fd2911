// Gradients in some inputs only: what is frozen gets none, and the others are those of all, to the bit.
import { eachEngine } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { engineMemory, useEngine } from '../engine.js';
import { recomputed } from '../recomputed.js';
import { leanTape } from '../tape.js';
import { normal } from '../test/cases.js';
import { headLogProb, headMixture } from './head.js';
import { linear } from './linear.js';
import { rmsNorm } from './rmsNorm.js';

const [T, d, V] = [70, 9, 33];
const ids = () =>
  tf.tensor1d(
    Int32Array.from({ length: T }, (_, i) => i % V),
    'int32',
  );
type Operation = (...x: tf.Tensor[]) => tf.Tensor;

const operations: { name: string; f: Operation; shapes: number[][] }[] = [
  { name: 'linear', f: (x, w) => linear(x!, w as tf.Tensor2D), shapes: [[T, d], [V, d]] }, // biome-ignore format: a table
  { name: 'rmsNorm', f: (x, w) => rmsNorm(x!, w as tf.Tensor1D, 1e-6), shapes: [[T, d], [d]] },
  {
    name: 'headLogProb',
    f: (h, w) => headLogProb(h!, w as tf.Tensor2D, ids(), 0.5),
    shapes: [[T, d], [V, d]], // biome-ignore format: a table
  },
  {
    name: 'headMixture',
    f: (h, w, e) => headMixture(h!, w as tf.Tensor2D, e as tf.Tensor2D, 0.5),
    shapes: [[T, d], [V, d], [V, 3]], // biome-ignore format: a table
  },
  {
    name: 'recomputed',
    f: (x, w, v) =>
      recomputed(({ x, w, v }) => ({ y: linear(linear(x, w as tf.Tensor2D), v as tf.Tensor2D) }), {
        x: x!,
        w: w!,
        v: v!,
      }).y,
    shapes: [[T, d], [V, d], [5, V]], // biome-ignore format: a table
  },
];

eachEngine(useEngine, () => {
  test.each(operations)('$name', ({ f, shapes }) => {
    const all = shapes.map((shape, seed) => normal(shape, seed + 1));
    const gradients = (asked: number[]) => {
      const value = () => leanTape(() => tf.tidy(() => tf.sum(tf.sin(f(...all)))));
      const { value: y, grads } = tf.engine().gradients(
        value as () => tf.Tensor,
        asked.map((i) => all[i]!),
      );
      y.dispose();
      return grads;
    };
    const want = gradients(all.map((_, i) => i));
    const { numTensors } = tf.memory();
    const { live } = engineMemory();
    for (let subset = 1; subset < 2 ** all.length; subset++) {
      const asked = all.flatMap((_, i) => (subset & (2 ** i) ? [i] : []));
      const got = gradients(asked);
      asked.forEach((i, at) => {
        expect(got[at]!.dataSync()).toEqual(want[i]!.dataSync());
      });
      tf.dispose(got);
    }
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(engineMemory().live).toBe(live);
  });
});

// Elsewhere a product makes transposes, which look alike.
eachEngine(useEngine, () => {
  test('through a stack of frozen weights no gradient of theirs is made', () => {
    const made: number[][] = [];
    const weights = Array.from({ length: 3 }, (_, i) => tf.variable(normal([d, d], i)) as tf.Variable<tf.Rank.R2>);
    const table = tf.variable(normal([V, d], 4)) as tf.Variable<tf.Rank.R2>;
    const frozen = new Set([...weights, table].map(({ dataId }) => dataId)); // that a copy shares
    const x = normal([T, d], 5);
    const engine = tf.engine() as unknown as {
      makeTensorFromTensorInfo: (info: tf.TensorInfo, ...rest: unknown[]) => unknown;
    };
    const make = engine.makeTensorFromTensorInfo;
    engine.makeTensorFromTensorInfo = function (this: unknown, info, ...rest) {
      if (!frozen.has(info.dataId)) made.push(info.shape);
      return make.call(this, info, ...rest);
    };
    try {
      const stack = (x: tf.Tensor, piece: (x: tf.Tensor, w: tf.Tensor2D) => tf.Tensor) =>
        headLogProb(weights.reduce<tf.Tensor>(piece, x), table, ids(), 1);
      const again = (x: tf.Tensor, w: tf.Tensor2D) => recomputed(({ x }) => ({ y: linear(x, w) }), { x }).y;
      for (const piece of [linear, again]) tf.grad((x) => leanTape(() => stack(x, piece)))(x);
      const ofWeights = ([rows, columns]: number[]) => columns === d && rows !== T;
      expect(made.length).toBeGreaterThan(10);
      expect(made.filter(ofWeights)).toEqual([]);
    } finally {
      engine.makeTensorFromTensorInfo = make;
    }
  });
}, ['native']);
