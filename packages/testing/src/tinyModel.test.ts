import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, test } from 'vitest';
import { expectClose } from './expectClose.js';
import { tinyCodec, tinyModel } from './tinyModel.js';

tf.enableProdMode();

const V = 11;
const d = 6;
const model = tinyModel({ vocabSize: V, hiddenSize: d, seed: 3 });
const ids = (rows: number[][]) => tf.tensor2d(rows, [rows.length, rows[0]!.length], 'int32');
const embed = (rows: number[][]) => model.embed(ids(rows)) as tf.Tensor3D;
const row = (x: tf.Tensor3D, b: number, from: number, to: number) => tf.slice(x, [b, from, 0], [1, to - from, d]);

afterAll(() => model.dispose());

describe('tinyModel', () => {
  test('golden: the formula, in plain numbers', () => {
    const [E, Wx, Ws, b, U] = model.variables.map((variable) => variable.arraySync()) as [
      number[][],
      number[][],
      number[][],
      number[],
      number[][],
    ];
    const [first, second] = [E[4]!, E[9]!];
    const hidden = b.map((bias, j) =>
      Math.tanh(second.reduce((sum, x, i) => sum + x * Wx[i]![j]! + ((first[i]! + x) / 2) * Ws[i]![j]!, bias)),
    );
    const got = model.forward(embed([[4, 9]]));
    expectClose(row(got, 0, 1, 2), tf.tensor3d([[hidden]]));
    const logits = U.map((weights) => weights.reduce((sum, u, i) => sum + u * hidden[i]!, 0));
    expectClose(model.head.logits(tf.tensor1d(hidden)), logits);
    const total = logits.reduce((sum, z) => sum + Math.exp(z / 0.7), 0);
    expectClose(model.head.logProb(tf.tensor1d(hidden), tf.scalar(5, 'int32'), 0.7), [
      logits[5]! / 0.7 - Math.log(total),
    ]);
    const mixture = b.map((_, j) => logits.reduce((sum, z, v) => sum + (Math.exp(z / 0.7) / total) * E[v]![j]!, 0));
    expectClose(model.head.mixture(tf.tensor1d(hidden), 0.7), mixture);
  });

  test('causal: a later input changes no earlier state, and every later one', () => {
    const a = model.forward(embed([[1, 2, 3, 4]]));
    const b = model.forward(embed([[1, 2, 7, 4]]));
    expectClose(row(a, 0, 0, 2), row(b, 0, 0, 2), { rel: 0, abs: 0 });
    expect(() => expectClose(row(a, 0, 3, 4), row(b, 0, 3, 4))).toThrow();
  });

  test('one-hot weights give the ordinary embedding', () => {
    expectClose(model.mix(tf.oneHot(ids([[3, 5]]), V)), embed([[3, 5]]));
  });

  test('with a cache, in pieces, as without', () => {
    const inputs = embed([
      [1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10],
    ]);
    const whole = model.forward(inputs);
    const cache = model.createCache(new Int32Array(2));
    const parts = [0, 2, 3].map((from, i) => {
      const to = [2, 3, 5][i]!;
      return model.forward(tf.slice(inputs, [0, from, 0], [2, to - from, d]) as tf.Tensor3D, cache);
    });
    expect(cache.length).toBe(5);
    expectClose(tf.concat(parts, 1), whole);
    cache.dispose();
  });

  test('left padding is not attended to', () => {
    const cache = model.createCache(Int32Array.of(0, 2));
    const padded = model.forward(
      embed([
        [1, 2, 3, 4],
        [9, 9, 3, 4],
      ]),
      cache,
    );
    expectClose(row(padded, 1, 2, 4), model.forward(embed([[3, 4]])));
    expectClose(row(padded, 0, 0, 4), model.forward(embed([[1, 2, 3, 4]])));
    cache.dispose();
  });

  test('select repeats and drops rows, in a tidy and without leaks', () => {
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      const cache = model.createCache(Int32Array.of(0, 1));
      model.forward(
        embed([
          [1, 2],
          [0, 4],
        ]),
        cache,
      );
      const chosen = cache.select(Int32Array.of(1, 0, 1));
      expect(chosen.length).toBe(2);
      const next = model.forward(embed([[5], [5], [5]]), chosen);
      expectClose(row(next, 0, 0, 1), row(model.forward(embed([[4, 5]])), 0, 1, 2));
      expectClose(row(next, 1, 0, 1), row(model.forward(embed([[1, 2, 5]])), 0, 2, 3));
      expectClose(row(next, 2, 0, 1), row(next, 0, 0, 1));
      expect(cache.length).toBe(2);
      cache.dispose();
      chosen.dispose();
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  test('the seed decides the parameters', () => {
    const [same, other] = [3, 4].map((seed) => tinyModel({ vocabSize: V, hiddenSize: d, seed }));
    expectClose(same!.variables[0]!, model.variables[0]!, { rel: 0, abs: 0 });
    expect(() => expectClose(other!.variables[0]!, model.variables[0]!)).toThrow();
    same!.dispose();
    other!.dispose();
  });
});

describe('tinyCodec', () => {
  test('golden and round trip', () => {
    const codec = tinyCodec('abc');
    expect(codec.encode('cab')).toEqual([3, 1, 2]);
    expect(codec.decode([3, 1, 2, 0])).toBe('cab');
    expect(codec.vocabSize).toBe(4);
    const text = 'What is 2 + 2?\n\\boxed{4}';
    expect(tinyCodec().decode(tinyCodec().encode(text))).toBe(text);
    expect(tinyCodec().vocabSize).toBe(97);
  });

  test('refuses what it does not know', () => {
    expect(() => tinyCodec('abc').encode('abd')).toThrow(/got "d"/);
    expect(() => tinyCodec('abc').decode([4])).toThrow(/below 4, got 4/);
  });
});
