// The fused kernels read floats. Whole numbers and booleans are as good as the floats of the same values: nothing takes
// their bits for floats.
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { adamWStep } from '../ops/adamW.js';
import { attention } from '../ops/attention.js';
import { embedding } from '../ops/embedding.js';
import { runKernel } from '../ops/fused.js';
import { geglu } from '../ops/geglu.js';
import { globalNorm } from '../ops/globalNorm.js';
import { headLogProb, headMixture } from '../ops/head.js';
import { linear } from '../ops/linear.js';
import { rmsNorm } from '../ops/rmsNorm.js';
import { rotary, rotaryTable } from '../ops/rotary.js';
import { swiglu } from '../ops/swiglu.js';

const [B, T, H, D, V] = [2, 3, 2, 4, 5];
const ids = () => tf.tensor1d([4, 0, 2], 'int32');
const adamW = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.5, step: 2 };

type Operation = (...x: tf.Tensor[]) => tf.Tensor;

/** Each operation, and the shapes of the tensors that are floats by rights. */
const operations: [name: string, f: Operation, shapes: number[][]][] = [
  [
    'linear',
    (x, w) => linear(x!, w as tf.Tensor2D),
    [
      [T, D],
      [V, D],
    ],
  ],
  ['rmsNorm', (x, w) => rmsNorm(x!, w as tf.Tensor1D, 1e-6), [[T, D], [D]]],
  [
    'swiglu',
    (gate, up) => swiglu(gate!, up!),
    [
      [T, D],
      [T, D],
    ],
  ],
  [
    'geglu',
    (gate, up) => geglu(gate!, up!),
    [
      [T, D],
      [T, D],
    ],
  ],
  ['embedding', (table) => embedding(table as tf.Tensor2D, ids()), [[V, D]]],
  [
    'headLogProb',
    (h, w) => headLogProb(h!, w as tf.Tensor2D, ids(), 0.5),
    [
      [T, D],
      [V, D],
    ],
  ],
  [
    'headMixture',
    (h, w, e) => headMixture(h!, w as tf.Tensor2D, e as tf.Tensor2D, 0.5),
    [
      [T, D],
      [V, D],
      [V, 3],
    ],
  ],
  [
    'rotary',
    (x) => rotary(x as tf.Tensor4D, rotaryTable({ headDim: D, theta: 10 }, Int32Array.of(1, 2, 3), [1, T])),
    [[B, T, H, D]],
  ],
  [
    'attention',
    (q, k, v) => attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D),
    [
      [B, T, H, D],
      [B, T, 1, D],
      [B, T, 1, D],
    ],
  ],
  [
    'attention after a prefix',
    (q, k, v, keys, values) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, {
        prefix: { keys: keys as tf.Tensor4D, values: values as tf.Tensor4D, rows: Int32Array.of(0, 0) },
      }),
    [
      [B, T, H, D],
      [B, T, 1, D],
      [B, T, 1, D],
      [1, 2, 1, D],
      [1, 2, 1, D],
    ],
  ],
  [
    'adamWStep',
    (parameter, gradient, firstMoment, secondMoment) =>
      adamWStep({ parameter: parameter!, firstMoment: firstMoment!, secondMoment: secondMoment! }, gradient!, adamW)
        .parameter,
    [
      [T, D],
      [T, D],
      [T, D],
      [T, D],
    ],
  ],
  ['globalNorm', (x) => tf.scalar(globalNorm([x!])), [[T, D]]],
];

/** 0, 1 and, but for booleans, 2 and 3. */
function whole(shape: number[], dtype: 'int32' | 'bool', seed: number): tf.Tensor {
  const values = Array.from({ length: tf.util.sizeFromShape(shape) }, (_, i) => (i * i + 3 * seed + 1) % 7);
  return tf.tensor(
    values.map((value) => value % (dtype === 'bool' ? 2 : 4)),
    shape,
    dtype,
  );
}

eachEngine(useEngine, () => {
  const each = operations.flatMap(([name, f, shapes]) =>
    shapes.flatMap((_, at) => (['int32', 'bool'] as const).map((dtype) => ({ name, f, shapes, at, dtype }))),
  );

  test.each(each)('$name: tensor $at as $dtype', ({ f, shapes, at, dtype }) => {
    const floats = shapes.map((shape, i) => tf.cast(whole(shape, dtype, i), 'float32'));
    const mixed = floats.map((x, i) => (i === at ? whole(shapes[i]!, dtype, i) : x));
    const want = f(...floats);
    expect(tf.max(tf.abs(want)).dataSync()[0]).toBeGreaterThan(0.1);
    expectClose(tf.cast(f(...mixed), 'float32'), want);
  });

  test('gradients: as those of the floats', () => {
    const [x, w] = [whole([T, D], 'int32', 0), whole([V, D], 'int32', 1)];
    const gradients = (...at: tf.Tensor[]) => tf.grads((x, w) => linear(x!, w as tf.Tensor2D))(at);
    const want = gradients(tf.cast(x, 'float32'), tf.cast(w, 'float32'));
    gradients(x, w).forEach((gradient, i) => {
      expectClose(gradient, want[i]!);
    });
  });

  test('keys and values written into a cache', () => {
    const buffer = () => tf.zeros([1, 4, 1, D]);
    const [keyBuffer, valueBuffer] = [buffer(), buffer()];
    const [keys, values] = [whole([1, 2, 1, D], 'int32', 0), whole([1, 2, 1, D], 'bool', 1)];
    runKernel('CacheWrite', { keys, values, keyBuffer, valueBuffer }, { position: 1, count: 2 });
    expect([...keyBuffer.dataSync()].slice(D, 3 * D)).toEqual([...keys.dataSync()]);
    expect([...valueBuffer.dataSync()].slice(D, 3 * D)).toEqual([...values.dataSync()]);
  });

  test('refuses what is no number', () => {
    expect(() => globalNorm([tf.complex([1], [2])])).toThrow(
      new TypeError('native: expected a tensor of dtype float32, got complex64; cast it'),
    );
  });
}, ['native']);
