import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, expectNear, normal, rowOf } from '../test/cases.js';
import { type Llama3Scaling, type RotaryOptions, rotary, rotaryFrequencies, rotaryTable } from './rotary.js';

const options: RotaryOptions = { headDim: 8, theta: 100 };
const options4: RotaryOptions = { headDim: 4, theta: 10000 };
const llama3: Llama3Scaling = {
  type: 'llama3',
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 8192,
};

describe('rotaryFrequencies', () => {
  test('golden: θ^(-2i/D)', () => {
    expectClose(rotaryFrequencies({ headDim: 4, theta: 10000 }), [1, 0.01], { rel: 1e-15, abs: 0 });
  });

  test('golden: Llama 3 keeps short wavelengths, stretches long ones and blends between', () => {
    // original / λ = 8192 ω / 2π is 1303.8 (kept), 2.92 (blended, s = 0.640), 0.00652 (divided by 8)
    const [fast, middle, slow] = rotaryFrequencies({ headDim: 6, theta: 446.4 ** 3, scaling: llama3 });
    const [, plainMiddle, plainSlow] = rotaryFrequencies({ headDim: 6, theta: 446.4 ** 3 });
    const s = ((8192 * plainMiddle!) / (2 * Math.PI) - 1) / 3;
    expect(s).toBeCloseTo(0.64, 2);
    expectClose([fast!, middle!, slow!], [1, plainMiddle! * (s + (1 - s) / 8), plainSlow! / 8], { rel: 1e-12, abs: 0 });
  });

  test('golden: linear scaling divides every frequency, so position 8 p is where p was', () => {
    const scaled: RotaryOptions = { headDim: 4, theta: 10000, scaling: { type: 'linear', factor: 8 } };
    expectClose(rotaryFrequencies(scaled), [0.125, 0.00125], { rel: 1e-15, abs: 0 });
    const [far, near] = [
      rotaryTable(scaled, Int32Array.of(8 * 5), [1, 1]),
      rotaryTable(options4, Int32Array.of(5), [1, 1]),
    ];
    expectClose(far.cos, near.cos);
    expectClose(far.sin, near.sin);
  });

  test('refuses an odd head dimension', () => {
    expect(() => rotaryFrequencies({ headDim: 5, theta: 10 })).toThrow(
      new RangeError("rotaryFrequencies: expected an even head dimension, got 5; check the model's config"),
    );
  });
});

eachEngine(useEngine, () => {
  test.each(cases.rotary)('as PyTorch: $name', (recorded) => {
    const { headDim, theta, scaling, positions } = recorded;
    const table = rotaryTable(
      {
        headDim,
        theta,
        scaling: scaling
          ? {
              type: 'llama3',
              factor: scaling.factor,
              lowFreqFactor: scaling.low_freq_factor,
              highFreqFactor: scaling.high_freq_factor,
              originalMaxPositionEmbeddings: scaling.original_max_position_embeddings,
            }
          : undefined,
      },
      Int32Array.from(positions.values),
      positions.shape as [number, number],
    );
    expectNear(table.cos, recorded.cos);
    expectNear(table.sin, recorded.sin);
    expectCase(recorded, ({ x }) => rotary(x as tf.Tensor4D, table));
  });

  test('gradient', () => {
    const table = rotaryTable(options, Int32Array.of(0, 1, 2, 7, 8, 9), [2, 3]);
    checkGradient((x) => rotary(x, table), [normal<tf.Tensor4D>([2, 3, 2, 8], 1)]);
  });

  test('keeps norms, and position 0 as it is', () => {
    const x = normal<tf.Tensor4D>([1, 3, 2, 8], 1);
    const y = rotary(x, rotaryTable(options, Int32Array.of(0, 5, 1000), [1, 3]));
    expectClose(tf.norm(y, 2, -1), tf.norm(x, 2, -1));
    expectClose(tf.slice(y, [0, 0], [1, 1]), tf.slice(x, [0, 0], [1, 1]));
    expect(tf.max(tf.abs(tf.sub(y, x))).dataSync()[0]).toBeGreaterThan(0.5); // and it does turn the others
  });

  test('products of queries and keys depend on the distance alone', () => {
    const [q, k] = [normal<tf.Tensor4D>([1, 1, 1, 8], 1), normal<tf.Tensor4D>([1, 1, 1, 8], 2)];
    const product = (i: number, j: number) => {
      const at = (x: tf.Tensor4D, position: number) => rotary(x, rotaryTable(options, Int32Array.of(position), [1, 1]));
      return tf.sum(tf.mul(at(q, i), at(k, j))).dataSync()[0]!;
    };
    expectClose([product(3, 0), product(45, 42), product(500, 497)], Array(3).fill(product(10, 7)), { abs: 1e-4 });
    expect(Math.abs(product(10, 7) - product(10, 8))).toBeGreaterThan(0.01);
  });

  test('a batch is its rows; one row of angles serves a batch', () => {
    const x = normal<tf.Tensor4D>([2, 3, 2, 8], 1);
    const positions = Int32Array.of(0, 1, 2, 7, 8, 9);
    const y = rotary(x, rotaryTable(options, positions, [2, 3]));
    for (let b = 0; b < 2; b++) {
      const table = rotaryTable(options, positions.slice(3 * b, 3 * b + 3), [1, 3]);
      expectClose(rotary(rowOf(x, b), table), rowOf(y, b));
      expectClose(rowOf(rotary(x, table), b), rowOf(y, b));
    }
  });

  test('refuses a table of other positions, rows or pairs, and an odd head dimension', () => {
    const x = normal<tf.Tensor4D>([2, 3, 2, 8], 1);
    const table = (headDim: number, B: number, T: number) =>
      rotaryTable({ headDim, theta: 100 }, new Int32Array(B * T), [B, T]);
    expect(() => rotary(x, table(8, 2, 2))).toThrow(
      new RangeError(
        'rotary: expected a table of cos and sin [2 or 1, 3, 1, 4], got [2,2,1,4] and [2,2,1,4]; ' +
          'make it with rotaryTable for the positions of x',
      ),
    );
    for (const other of [table(8, 1, 1), table(8, 3, 3), table(6, 2, 3), table(2, 1, 3)]) {
      expect(() => rotary(x, other)).toThrow(/^rotary: expected a table/);
    }
    expect(() => rotary(x, { cos: table(8, 2, 3).cos, sin: table(8, 1, 3).sin })).toThrow(
      /got \[2,3,1,4\] and \[1,3,1,4\];/,
    );
    expect(() => rotary(normal<tf.Tensor4D>([2, 3, 2, 5], 1), table(4, 2, 3))).toThrow(
      new RangeError('rotary: expected x [B, T, H, D] with D even, got [2,3,2,5]; split x into heads of even size'),
    );
  });

  test('refuses positions that do not fill the shape', () => {
    expect(() => rotaryTable(options, Int32Array.of(0, 1, 2), [2, 2])).toThrow(
      new RangeError('rotaryTable: expected 2 x 2 positions, got 3; give one for each'),
    );
  });
});
