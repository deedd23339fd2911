import { createNoise, useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { hard } from './hard.js';
import { fixedNoise, headModel, threeTokens } from './test/models.js';

const model = () => headModel(tf.tensor2d(threeTokens));

/** The ids of `rows` draws from one distribution, each row with noise of its own. */
function draws(logits: number[], rows: number, temperature: number, seed = 1): Int32Array {
  return tf.tidy(() => {
    const V = logits.length;
    const noise = createNoise({
      seed,
      step: 0,
      samples: Int32Array.from({ length: rows }, (_, i) => i),
      position: 0,
      stream: 0,
    });
    const hidden = tf.tile(tf.tensor2d(logits, [1, V]), [rows, 1]) as tf.Tensor2D;
    return hard({ temperature }).step(hidden, headModel(tf.ones([V, 1])), noise).shadow;
  });
}

/** Σ (observed - expected)² / expected. */
function chiSquared(ids: Int32Array, probabilities: number[]): number {
  return probabilities.reduce((sum, p, id) => {
    const observed = ids.filter((drawn) => drawn === id).length;
    return sum + (observed - p * ids.length) ** 2 / (p * ids.length);
  }, 0);
}

eachEngine(useEngine, () => {
  test('golden: the first id whose cumulative probability exceeds u', () => {
    // softmax([2, 1, 0]) = [.6652, .2447, .0900], cumulated [.6652, .9100, 1]
    const uniform = [0, 0.665, 0.6653, 0.9099, 0.9101, 1 - 2 ** -24].map((u) => [u]);
    const hidden = tf.tensor2d(Array(6).fill([2, 1, 0]));
    const { input, action, shadow } = hard({ temperature: 1 }).step(hidden, model(), fixedNoise({ uniform }));
    expect([...shadow]).toEqual([0, 0, 1, 1, 2, 2]);
    expect(action.ids.dtype).toBe('int32');
    expect([...action.ids.dataSync()]).toEqual([...shadow]);
    expectClose(input, tf.tensor2d([...shadow].map((id) => threeTokens[id]!)));
  });

  test('an id of probability 0 is never drawn, and u on a boundary is the next id', () => {
    const noise = fixedNoise({ uniform: [[0], [0.5]] });
    const hidden = tf.tensor2d([
      [-Infinity, 0, 0],
      [0, 0, -Infinity],
    ]);
    expect([...hard({ temperature: 1 }).step(hidden, model(), noise).shadow]).toEqual([1, 1]);
  });

  test('draws follow the distribution', () => {
    const p = [0.5, 0.25, 0.15, 0.1];
    expect(chiSquared(draws(p.map(Math.log), 4000, 1), p)).toBeLessThan(16.27); // 99.9 % point, 3 degrees of freedom
    const squared = p.map((value) => value ** 2 / 0.345); // τ = 0.5 squares them
    expect(chiSquared(draws(p.map(Math.log), 4000, 0.5), squared)).toBeLessThan(16.27);
    expect(chiSquared(draws(p.map(Math.log), 4000, 0.5), p)).toBeGreaterThan(100);
  });

  test('a degenerate distribution gives its one id, whatever the noise', () => {
    expect(new Set(draws([-1e4, 1e4, -1e4], 200, 1))).toEqual(new Set([1]));
    expect(new Set(draws([0, -Infinity, -Infinity], 200, 1))).toEqual(new Set([0]));
    expect(new Set(draws([-Infinity, -Infinity, 0], 200, 1))).toEqual(new Set([2]));
    expect(new Set(draws([0, 0, -Infinity], 200, 1))).toEqual(new Set([0, 1]));
  });

  test('greedy: the likeliest id, without any noise', () => {
    const noise = { normal: () => tf.fill([1, 1], Number.NaN), uniform: () => tf.fill([1, 1], Number.NaN) };
    const hidden = tf.tensor2d([
      [0, 3, 1],
      [-1, -2, -3],
    ]);
    const { shadow, input } = hard({ temperature: 0 }).step(hidden, model(), noise as never);
    expect([...shadow]).toEqual([1, 0]);
    expectClose(input, tf.tensor2d([0, 1, 1, 0], [2, 2]));
  });

  test('large vocabularies draw sensibly and disturb no other tensor', () => {
    // tfjs's wasm kernel of cumsum writes past its output when the axis is given as -1.
    const V = 1000;
    const bystanders = Array.from({ length: 20 }, () => tf.fill([V], 7));
    const ids = draws(Array(V).fill(0), 500, 1);
    const after = Array.from({ length: 20 }, () => tf.fill([V], 7));
    for (const tensor of [...bystanders, ...after]) expectClose(tensor, tf.fill([V], 7));
    const mean = ids.reduce((sum, id) => sum + id, 0) / ids.length;
    expect(Math.abs(mean - (V - 1) / 2)).toBeLessThan((4 * V) / Math.sqrt(12 * 500)); // four standard errors
    expect(new Set(ids).size).toBeGreaterThan(350); // 500 of 1000: 393 distinct expected
  });

  test('inputs and log-probability of recorded ids, by hand', () => {
    const ids = tf.tensor2d([0, 2], [1, 2], 'int32');
    const hidden = tf.tensor3d([2, 1, 0, 2, 1, 0], [1, 2, 3]);
    const sampler = hard({ temperature: 0.5 });
    expectClose(sampler.inputs({ ids }, model()), tf.tensor3d([1, 0, -1, -1], [1, 2, 2]));
    const want = [Math.log(0.866813332197), Math.log(0.0158762399765)];
    expectClose(sampler.logProb(hidden, model(), { ids }), tf.tensor2d([want]));
    // d log p(0) / dz = (onehot - p) / τ
    const gradient = tf.grad((h) => sampler.logProb(h as tf.Tensor3D, model(), { ids }))(hidden);
    const p = [0.866813332197, 0.117310427826, 0.0158762399765] as const;
    const by = (id: number) => p.map((value, i) => ((i === id ? 1 : 0) - value) / 0.5);
    expectClose(gradient.dataSync(), [...by(0), ...by(2)]);
  });
});

describe('hard', () => {
  test('refuses a negative temperature, and to score greedy choices', () => {
    expect(() => hard({ temperature: -1 })).toThrow(new RangeError('hard: expected a temperature >= 0, got -1'));
    expect(() => hard({ temperature: Number.NaN })).toThrow(/got NaN/);
    const ids = tf.zeros([1, 1], 'int32');
    expect(() => hard({ temperature: 0 }).logProb(tf.zeros([1, 1, 3]), model(), { ids })).toThrow(
      new RangeError('hard: expected a temperature > 0 to score, got 0; a greedy choice has no log-probability'),
    );
  });
});
